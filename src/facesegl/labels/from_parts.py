"""The class of each part of a synthetic face: by the convention of a data set with these classes, or `synthetic_as`."""

import numpy as np
import numpy.typing as npt

from facesegl.errors import ConfigError
from facesegl.labels.taxonomy import Taxonomy
from facesegl.synthetic.conventions import CONVENTIONS
from facesegl.synthetic.parts import PARTS


def can_be_drawn(taxonomy: Taxonomy) -> bool:
    """Whether synthetic faces can have these classes."""
    return bool(taxonomy.synthetic_as) or _convention_of(taxonomy) is not None


def classes_of_parts(taxonomy: Taxonomy) -> tuple[npt.NDArray[np.intp], str]:
    """The class index of each of `PARTS`, (P,) intp, and the convention by which to draw the parts.

    Raises:
        ConfigError: the classes are those of no convention, and the taxonomy has no `synthetic_as`.

    Example:
        >>> two = Taxonomy(("background", "face"), ((0, 0, 0), (9, 9, 9)), synthetic_as={"skin": "face"})
        >>> [PARTS[index] for index in classes_of_parts(two)[0].nonzero()[0]]
        ['skin', 'beard', 'glasses']
    """
    convention = _convention_of(taxonomy)
    if convention:
        found = {part: name for name, parts in CONVENTIONS[convention].items() for part in parts}
        found |= taxonomy.synthetic_as
    elif taxonomy.synthetic_as:
        found = {part: taxonomy.class_of_part(part) for part in PARTS}
        # without a class for glasses, what is behind them is labelled
        convention = "celebamask_hq" if found["glasses"] != found["skin"] else "lapa"
    else:
        raise ConfigError(
            f"data.taxonomy: no convention of synthetic faces gives the classes {', '.join(taxonomy.names)}; add the "
            f"class of each part to the YAML, `synthetic_as: {{skin: CLASS, hair: CLASS, ...}}`. The parts are "
            f"{', '.join(PARTS)}."
        )
    return np.array([taxonomy.names.index(found[part]) for part in PARTS]), convention


def _convention_of(taxonomy: Taxonomy) -> str | None:
    found = [name for name, classes in CONVENTIONS.items() if classes.keys() == set(taxonomy.names)]
    # LaPa and Helen have the same classes; only Helen's files are called lbl01
    return found[-1 if "lbl01" in taxonomy.remap else 0] if found else None
