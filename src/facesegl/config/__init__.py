"""Find, compose, check and build what `conf/` names: from a command line to objects.

Building goes by name, so that nothing of the project is imported here but its errors and `nearest`. A config that a
person types or keeps is that person's own code and may build anything; what travels in a checkpoint goes through
`build_trusted`.
"""

from facesegl.config.building import build
from facesegl.config.checking import check, rehearse
from facesegl.config.composing import compose, conf_dir, loosen, quoted, sweep
from facesegl.config.identity import identity, to_plain
from facesegl.config.machine import resolve_accelerator, resolve_precision
from facesegl.config.roots import EvaluateKeys, TrainKeys
from facesegl.config.signatures import places_in
from facesegl.config.taxonomy import read_taxonomy
from facesegl.config.trusted import build_trusted

__all__ = [
    "EvaluateKeys",
    "TrainKeys",
    "build",
    "build_trusted",
    "check",
    "compose",
    "conf_dir",
    "identity",
    "loosen",
    "places_in",
    "quoted",
    "read_taxonomy",
    "rehearse",
    "resolve_accelerator",
    "resolve_precision",
    "sweep",
    "to_plain",
]
