"""Compute results: score sets of photos, keep their counts on disk, and compare models.

The metrics themselves are in `scores/`; tables and pages are in `reporting/`.
"""
