"""Low-rank decomposition of convolutions: forms, factors fitted to activations, their choice."""
