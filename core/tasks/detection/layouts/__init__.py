"""Layouts of detectors' outputs, one file each; see `base`."""
