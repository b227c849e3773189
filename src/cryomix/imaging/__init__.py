"""What is measured, and how an image comes to be."""
