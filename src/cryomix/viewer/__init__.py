"""The explorer in the browser: what a job found, to look at and to choose from."""
