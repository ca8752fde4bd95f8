"""Timing of loaded models in turns: one engine for pairs, for several, and for their layers."""
