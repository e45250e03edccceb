"""Run folders: their files, lock and record, which run to resume, and how signals end one.

What fills them (training, scoring) is in `commands/` and `evaluation/`.
"""
