"""Compute results: score sets of photos, save their counts, and compare models.

The metrics themselves are in `scores/`; tables and pages are in `reporting/`.
"""
