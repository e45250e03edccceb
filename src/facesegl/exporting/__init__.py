"""A checkpoint as an ONNX graph, in float32 or int8, the certificate and the warning threshold of an export.

Running an exported model is in `prediction/`, safetensors files in `learning/`.
"""
