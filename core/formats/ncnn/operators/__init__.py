"""Operators: one module per family, each with the rule of every operator that it writes."""
