"""The ways to run a model: ONNX Runtime, a Python callable in a cage, a server elsewhere."""
