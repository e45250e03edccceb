"""Pictures of masks: canvas, overlays, panels and contact sheets, for every room that shows masks.

Charts of numbers are in `reporting/`.
"""
