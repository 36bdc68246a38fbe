"""Training, validation and test splits: stratified, grouped, without duplicates across them."""
