"""The run folder: its files, its lock, its record, and which run to resume.

What fills it (training, scoring) is in `commands/` and `evaluation/`.
"""
