"""The verbs of the command line, one file each, and what several verbs share.

Scores are computed in `evaluation/` and shown in `reporting/`; run folders are in `runs/`.
"""
