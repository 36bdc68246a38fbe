"""What is wrong with a manifest: damage, duplicates, suspicious labels."""
