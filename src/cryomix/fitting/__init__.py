"""The optimisations of the method."""
