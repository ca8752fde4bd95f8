"""Train the weights of a graph against a teacher: ONNX nodes run by differentiable operators.

Nothing here is imported with the catalogue of passes; PyTorch is imported when training starts.
"""
