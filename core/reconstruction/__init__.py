"""Layers refitted by least squares, so that a rewritten graph computes what the original does."""
