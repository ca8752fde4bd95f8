"""Tasks: what the outputs of a model mean, one file each; see `base`."""
