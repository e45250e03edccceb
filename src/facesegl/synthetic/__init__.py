"""Synthetic faces: photos of rendered heads, with the exact share of every part in every pixel.

Heads, hair, hats and shoulders are implicit surfaces that rays meet; seeded, and the same bytes on every machine. Needs
NumPy alone, and is independent of files and sources.
"""
