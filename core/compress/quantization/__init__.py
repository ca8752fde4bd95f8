"""Post-training quantization: ranges, rounding, corrections, and what stays float."""
