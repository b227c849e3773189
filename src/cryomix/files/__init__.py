"""The only folder that opens a file."""
