"""Checks of labelled photos before training: facts about the files, and findings.

Findings are shown by `reporting/`.
"""
