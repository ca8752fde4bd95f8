"""Integer grids, which tensors take them, how they are chosen, repaired, measured and written."""
