"""Metrics of a model's outputs: one file each, named as the metric is; see `base`."""
