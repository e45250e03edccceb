"""Drawn faces: portraits in FASSEG's manner, with the exact share of every class in every pixel."""

from facesegl.synthetic.render import Face, draw_face

__all__ = ["Face", "draw_face"]
