"""Synthetic faces: portraits in the style of FASSEG, with the exact share of every class in every pixel.

A small renderer that knows nothing of files or sources.
"""
