"""Everything that shows results: tables on the terminal, and the HTML page of a run or a sweep.

What computes results does not belong here (`facesegl.evaluation`), nor do pictures of masks (`facesegl.drawing`).
"""
