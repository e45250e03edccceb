"""Synthetic faces: portraits in the style of FASSEG, with the exact share of every class in every pixel.

A small renderer, independent of files and sources.
"""
