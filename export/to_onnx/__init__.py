"""Export as ONNX."""
