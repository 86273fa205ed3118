"""Token classification: which parts of a text mean what."""
