"""Back from particles to density."""
