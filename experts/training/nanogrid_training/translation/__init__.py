"""Experts that turn a text into another text: `task = "text-to-text"` in a `train.toml`."""
