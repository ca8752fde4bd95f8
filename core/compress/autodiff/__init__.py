"""Reverse-mode differentiation of ONNX graphs: vector-Jacobian products, node by node."""
