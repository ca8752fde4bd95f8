"""Structured pruning: what each group of channels is worth, and how deep each is cut."""
