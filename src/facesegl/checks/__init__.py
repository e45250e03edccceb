"""The checks of labelled photos before anything is trained on them: facts about the files, and findings.

What computes a fact or a finding belongs here; how findings are shown does not (`facesegl.reporting`).
"""
