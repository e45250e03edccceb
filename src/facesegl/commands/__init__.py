"""The verbs of the command line, one file each, and code that several verbs share.

Scores are computed in `evaluation/` and shown in `reporting/`; run folders are in `runs/`.
"""
