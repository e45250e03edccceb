"""What each data set calls the parts of a synthetic face: one table per convention, from its classes to `PARTS`.

A class without parts never occurs in a synthetic face. How painters delimit a part is up to the renderer.
"""

from collections.abc import Mapping

# the classes of LaPa and Helen besides background and skin; class 2 is the person's right brow (FacePerceiver/facer)
_ELEVEN = {
    "left_eyebrow": ("right brow",),
    "right_eyebrow": ("left brow",),
    "left_eye": ("right eye",),
    "right_eye": ("left eye",),
    "nose": ("nose",),
    "upper_lip": ("upper lip",),
    "inner_mouth": ("inner mouth",),
    "lower_lip": ("lower lip",),
    "hair": ("hair",),
}

CONVENTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    # docs/fasseg.md; FASSEG has neither hats nor glasses
    "fasseg": {
        "background": ("background", "hat", "cloth"),
        "skin": ("skin", "left ear", "right ear", "neck", "glasses", "earring"),
        "hair": ("hair", "beard", "left brow", "right brow"),
        "nose": ("nose",),
        "eyes": ("left eye", "right eye"),
        "mouth": ("upper lip", "lower lip", "inner mouth"),
    },
    # l_ is the viewer's left: FacePerceiver/FaRL names l_eye the right eye (farl/datasets/celebamask_hq.py)
    "celebamask_hq": {
        "background": ("background",),
        "skin": ("skin", "beard"),
        "nose": ("nose",),
        "eye_g": ("glasses",),
        "l_eye": ("right eye",),
        "r_eye": ("left eye",),
        "l_brow": ("right brow",),
        "r_brow": ("left brow",),
        "l_ear": ("right ear",),
        "r_ear": ("left ear",),
        "mouth": ("inner mouth",),
        "u_lip": ("upper lip",),
        "l_lip": ("lower lip",),
        "hair": ("hair",),
        "hat": ("hat",),
        "ear_r": ("earring",),
        "neck_l": (),
        "neck": ("neck",),
        "cloth": ("cloth",),
    },
    # skin is face and ears (FaRL's farl/datasets/lapa.py)
    "lapa": {
        "background": ("background", "hat", "earring", "neck", "cloth"),
        "skin": ("skin", "left ear", "right ear", "beard", "glasses"),
        **_ELEVEN,
    },
    # skin has no ears and no neck (README of cs.wisc.edu/~lizhang/projects/face-parsing); sides assumed to be LaPa's
    "helen": {
        "background": ("background", "left ear", "right ear", "hat", "earring", "neck", "cloth"),
        "skin": ("skin", "beard", "glasses"),
        **_ELEVEN,
    },
}
