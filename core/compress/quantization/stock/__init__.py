"""Static int8 as ONNX Runtime's own quantizer writes it: what, in which ranges, and how."""
