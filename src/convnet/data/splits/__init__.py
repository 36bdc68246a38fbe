"""Training, validation and test splits: stratified, grouped, with copies kept together."""
