"""From latent coordinates to meaning."""
