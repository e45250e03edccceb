"""Show results: tables on the terminal, and the HTML page of a run or a sweep.

Results are computed in `evaluation/`; pictures of masks are drawn in `drawing/`.
"""
