"""Drawn faces: portraits in FASSEG's manner, with the exact share of every class in every pixel."""
