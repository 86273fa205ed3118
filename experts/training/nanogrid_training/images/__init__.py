"""Experts that say what a picture shows: `task = "image-classification"` in a `train.toml`."""
