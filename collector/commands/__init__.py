"""The groups of `pantau-collector` that `collector.__main__` puts together."""
