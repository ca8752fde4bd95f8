"""Folding: affine maps taken over by the layers before or behind them."""
