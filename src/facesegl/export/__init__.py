"""Models in other forms: an ONNX graph, 8-bit integers, plain weights, and the proof that each predicts the same.

Nothing is imported here: weights are read where torch and ONNX are not wanted.
"""
