"""One file a verb of the command line, and what several verbs share: the data sets that a model or a user names.

What computes scores is in `evaluation/`, what shows them in `reporting/`, and run folders in `runs/`.
"""
