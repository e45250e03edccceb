"""What the command does, one file a verb, and the run folders that it leaves.

Nothing is imported here: to predict with an exported model no torch is needed.
"""
