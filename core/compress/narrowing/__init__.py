"""Floats of fewer bits: which nodes bear them, and the conversion of those that do."""
