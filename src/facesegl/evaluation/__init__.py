"""Everything that computes results: scoring of photo sets, their counts on disk, and comparisons of models.

The metrics themselves are in `scores/`; tables and pages are in `reporting/`.
"""
