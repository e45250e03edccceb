"""The parts of a synthetic face that its masks can tell apart."""

PARTS = (
    "background", "skin", "left brow", "right brow", "left eye", "right eye", "left ear", "right ear", "nose",
    "upper lip", "lower lip", "inner mouth", "hair", "beard", "hat", "glasses", "earring", "neck", "cloth",
)  # fmt: skip
"""In the order of `Face.coverage`. Left and right are the person's: the left eye is on the right of a frontal photo."""
