"""Layer-wise least-squares reconstruction of what the original computes, from a few images."""
