"""Run folders: their files, lock and record, which run to resume, and how signals end one.

Training and scoring are in `commands/` and `evaluation/`.
"""
