"""Pictures of masks: a canvas, overlays, panels and contact sheets, for every room that shows some.

Charts of numbers are in `reporting/`.
"""
