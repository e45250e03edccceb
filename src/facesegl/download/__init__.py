"""Downloading FASSEG: fetch the archive, verify every image against its git hash, then move all of them into place.

Reading the images as a dataset is not here: see `facesegl.sources`.
"""
