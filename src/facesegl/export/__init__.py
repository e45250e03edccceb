"""A checkpoint as an ONNX graph, in float32 or int8, and the parity certificate of an export.

Running an exported model is in `prediction/`, safetensors files in `learning/`.
"""
