"""Read a mask from any kind of file: colors, numbers, NumPy arrays, or one image per part.

`kind: auto` detects:

- `.npy`: numbers (H, W), or one-hot layers.
- A color image: each class has the taxonomy's color; blended edges are decoded by the project's rule.
- A grey image: numbers, if the taxonomy defines all of them; else greys that are colors of classes.
- A palette image: its colors, if those in use are the taxonomy's, one per class; else its numbers.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from facesegl.errors import ConfigError, DataError
from facesegl.labels.decode import (
    TOLERANCE,
    Decoded,
    are_known,
    decode_layers,
    decode_mask,
    decode_numbers,
    foreign_colour,
    likeliest_parts,
    overlay_parts,
)
from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.images import open_image, to_rgba, upright
from facesegl.sources.listing import require_regular

Kind = Literal["auto", "colour", "index", "parts", "probabilities"]
"""The format of a mask file; with `parts` and `probabilities` a mask has several files."""

Overlap = Literal["order", "smallest"]
"""Which of several overlapping parts wins: the later one in the taxonomy's order, or the smallest."""

_WITH_ALPHA = ("1", "L", "P", "RGB", "LA", "PA", "RGBA", "La", "RGBa")  # modes whose alpha Pillow can convert
_SHOWN = 8


def read_mask_file(path: Path, kind: Kind, taxonomy: Taxonomy) -> Decoded:
    """Read a mask of kind `auto`, `colour` or `index` from an `.npy` file or an image, upright by its EXIF orientation.

    Raises:
        DataError: it cannot be read, or contains values that the taxonomy does not define.
    """
    with _naming(path):
        if path.suffix.casefold() == ".npy":
            array = _load_array(path)
            return decode_numbers(array, taxonomy) if array.ndim == 2 else decode_layers(array, taxonomy)
        image = upright(open_image(path, alone=True))
        if kind == "auto":
            pixels = _detect(image, taxonomy)
        else:
            pixels = np.asarray(image.convert("RGB")) if kind == "colour" else _numbers(image)
        return _decoded(pixels, taxonomy) if pixels.ndim == 3 else decode_numbers(pixels, taxonomy)


def read_mask_parts(
    parts: Sequence[tuple[str, Path]], kind: Kind, overlap: Overlap, rest: str, taxonomy: Taxonomy
) -> Decoded:
    """Read a mask from one file per part.

    Args:
        parts: names and files; a name may occur several times.
        kind: `parts` for black and white images, `probabilities` for grey ones, of which the brightest wins.
        overlap: which of several black and white parts wins.
        rest: the class of pixels that belong to no part, or `void`.
        taxonomy: defines the classes and their parts.

    Raises:
        ConfigError: `rest` is not a class.
        DataError: a file cannot be read, or the taxonomy does not define a part.
    """
    folder = parts[0][1].parent
    known = taxonomy.raw_names()
    if unknown := sorted({name for name, _path in parts} - known.keys()):
        first = next(path for name, path in parts if name == unknown[0])
        raise DataError(
            f"{first}: the taxonomy has no part {', '.join(unknown)}; it has {', '.join(known)}. Map every part in its "
            f"YAML, not only these: `remap: {{{unknown[0]}: {_similar_class(unknown[0], taxonomy)}, ...}}`."
        )
    if kind == "probabilities":
        known = dict(sorted(known.items(), key=lambda item: item[1]))  # parts of a class are adjacent
        if missing := sorted(known.keys() - {name for name, _path in parts}):
            raise DataError(
                f"{folder}: {parts[0][1].stem} has no file for {', '.join(missing)}; expected one per part."
            )
    with _naming(*(path for _name, path in parts)):
        ordered = ((known[name], path) for name in known for other, path in parts if other == name)
        images, below = ((value, _grey(path)) for value, path in ordered), _value_of_rest(rest, taxonomy)
        if kind == "probabilities":
            return likeliest_parts(images, below)
        return overlay_parts(images, below, smallest_on_top=overlap == "smallest")


def _value_of_rest(rest: str, taxonomy: Taxonomy) -> int:
    try:
        return taxonomy.value_of(rest)
    except ConfigError:
        raise ConfigError(
            f"data.source.rest={rest}: no class of that name; expected one of {', '.join(taxonomy.names)}, or void: "
            f"the class of pixels that belong to no part."
        ) from None


def _decoded(colors: np.ndarray, taxonomy: Taxonomy) -> Decoded:
    """Decode (H, W, 3) uint8; an area in the color of no class is an error, since the rule would guess its class."""
    decoded = decode_mask(colors, taxonomy)
    if decoded.inexact.any() and (foreign := foreign_colour(colors, taxonomy)):
        color, share = foreign
        raise DataError(
            f"{share:.1%} of its pixels are {color}, which is not the colour of a class. Define it in the taxonomy's "
            f"YAML as a class's own colour, as void, or in remap together with every other colour, such as "
            f'`remap: {{"{", ".join(map(str, color))}": CLASS or void, ...}}`.'
        )
    return decoded


@contextlib.contextmanager
def _naming(*paths: Path) -> Iterator[None]:
    """Prefix problems with the first file's name, unless they name one of the files already."""
    try:
        yield
    except DataError as error:
        if any(str(path) in str(error) for path in paths):
            raise
        raise DataError(*(f"{paths[0]}: {problem}" for problem in error.problems)) from None


def _load_array(path: Path) -> np.ndarray:
    """Two axes of integers or bools, or three axes of any numbers."""
    require_regular(path)
    try:
        array = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except FileNotFoundError:
        raise DataError("no such file; it existed when the folder was listed.") from None
    except Exception as error:  # on broken headers NumPy raises any kind of exception
        reason = " ".join(str(error).split())
        raise DataError(f"not a readable NumPy array ({reason}); save it again with numpy.save.") from None
    if not array.size:
        raise DataError(f"an array of shape {array.shape}; expected pixels.")
    if array.dtype.kind not in {2: "iub", 3: "iubf"}.get(array.ndim, ""):
        raise DataError(
            f"an array of shape {array.shape} and type {array.dtype}; expected integers (H, W), or one-hot layers "
            f"(C, H, W) or (H, W, C)."
        )
    return array


def _numbers(image: Image.Image) -> np.ndarray:
    """The numbers (H, W) of a grey or palette image, or of one whose three channels are equal."""
    if image.mode in ("L", "P", "1", "I") or image.mode.startswith("I;16"):
        return np.asarray(image)
    if image.mode in ("LA", "PA"):
        return np.asarray(image.getchannel(0))
    colors = np.asarray(image.convert("RGB"))
    if image.mode == "F" or not _is_grey(colors):
        raise DataError(
            f"a colour image (mode {image.mode}); expected numbers, in a grey or palette PNG. If the colours are those "
            f"of the classes, use data.source.kind=colour."
        )
    return np.asarray(colors[..., 0])


def _is_grey(colors: np.ndarray) -> bool:
    """Whether all pixels of an image (H, W, 3) are grey."""
    return bool((colors[..., :1] == colors).all())


def _detect(image: Image.Image, taxonomy: Taxonomy) -> np.ndarray:
    """The colors (H, W, 3) uint8 of an image, or its numbers (H, W) of any integer dtype."""
    if image.mode in ("P", "PA"):
        numbers, colors = _numbers(image), _palette(image)
        used = np.unique(numbers)
        if (colors[used] == used[:, None]).all():  # a ramp of greys: in effect a grey image
            return _detect_grey(numbers, taxonomy, from_colors=False)
        return _detect_palette(numbers, colors, used, taxonomy)
    if image.mode in ("L", "LA", "1", "I", "F") or image.mode.startswith("I;16"):
        return _detect_grey(_numbers(image), taxonomy, from_colors=False)
    pixels = np.asarray(image.convert("RGB"))
    return _detect_grey(pixels[..., 0], taxonomy, from_colors=True) if _is_grey(pixels) else pixels


def _detect_palette(numbers: np.ndarray, colors: np.ndarray, used: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """The colors (H, W, 3) of a palette image with the palette `colors` (256, 3), or its numbers (H, W)."""
    known = taxonomy.raw_colours()
    squared = np.square(colors[used][:, None].astype(int) - np.array([*known])).sum(axis=-1)
    nearest, claimed = squared.min(axis=1), np.array([*known.values()])[squared.argmin(axis=1)]
    one_each = bool((nearest <= TOLERANCE**2).all()) and len(np.unique(claimed)) == len(used)
    if (nearest == 0).all() or one_each:
        return np.asarray(colors[numbers])
    if are_known(numbers, taxonomy):
        return numbers
    shown = "; ".join(f"{entry}: {', '.join(map(str, colors[entry]))}" for entry in used[:_SHOWN])
    raise DataError(
        f"a palette image in which neither all colours nor all numbers are the taxonomy's (entries in use, with their "
        f"colours: {shown}{' ...' if len(used) > _SHOWN else ''}). If its edges are blended, use "
        f"data.source.kind=colour; if it contains numbers, map each in the taxonomy's remap."
    )


def _detect_grey(grey: np.ndarray, taxonomy: Taxonomy, from_colors: bool) -> np.ndarray:
    """Greys (H, W) of any integer dtype as numbers, or as colors (H, W, 3); `from_colors` prefers colors."""
    greys = [red for red, green, blue in taxonomy.raw_colours() if red == green == blue]
    found = np.unique(grey)
    exact = np.isin(found, greys)
    if not (from_colors and exact.all()) and are_known(grey, taxonomy):
        return grey
    # blended edges are between the greys of classes; a wrong number does not occur together with two of those greys
    if found[-1] < 256 and (exact.all() or exact.sum() > 1):
        return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)
    return grey


def _palette(image: Image.Image) -> np.ndarray:
    """(256, 3) uint8, black where the file defines no color."""
    colors = np.zeros((256, 3), dtype=np.uint8)
    own = np.array(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    colors[: len(own)] = own
    return colors


def _grey(path: Path) -> np.ndarray:
    """The image of one part: (H, W) bool, uint8 or uint16."""
    with _naming(path):
        if path.suffix.casefold() == ".npy":
            array = _load_array(path)
            if array.ndim != 2 or array.min(initial=0) < 0 or array.max(initial=0) > 65535:
                raise DataError(f"an array of shape {array.shape}; expected (H, W) with 0 and 1, or 0 and 255.")
            return array if array.dtype in (np.bool_, np.uint8) else array.astype(np.uint16)
        image = upright(open_image(path, alone=True))
        if image.mode == "F":
            raise DataError("a floating-point image (mode F); expected 8 or 16 bits, with 0 for black.")
        if image.has_transparency_data and image.mode in _WITH_ALPHA:
            return _read_transparent(image)
        if image.mode in ("1", "I") or image.mode.startswith("I;16"):
            deep = np.asarray(image)
            return deep if deep.dtype == np.bool_ else np.clip(deep, 0, 65535).astype(np.uint16)
        return np.asarray(image if image.mode == "L" else image.convert("RGB").convert("L"))


def _read_transparent(image: Image.Image) -> np.ndarray:
    """One part with an alpha channel, (H, W) uint8: its alpha if it has a single color, else its brightness."""
    image = to_rgba(image)
    pixels = np.asarray(image)
    colors, alpha, grey = pixels[..., :3], pixels[..., 3], np.asarray(image.convert("RGB").convert("L"))
    if (alpha == 255).all() or (not alpha.any() and len(np.unique(grey)) > 1):
        return grey  # some programs pad with 0 instead of writing alpha
    if alpha.any() and _is_one_color(colors, alpha):
        return alpha
    white = 1 if grey.max() <= 1 else 255
    if ((grey > white // 2) == (alpha > 127)).all():
        return grey
    raise DataError(
        "its alpha channel and its colours disagree; expected black and white without alpha, or one colour with the "
        "part in alpha. Save it without alpha."
    )


def _is_one_color(colors: np.ndarray, alpha: np.ndarray) -> bool:
    """Whether an image (H, W, 3) with an alpha channel (H, W) shows one color."""
    seen, hidden = colors[alpha > 0], colors[alpha == 0]
    return bool((seen == seen[0]).all() and ((hidden == seen[0]).all(axis=-1) | (hidden == 0).all(axis=-1)).all())


def _similar_class(part: str, taxonomy: Taxonomy) -> str:
    """The class with the part's name, up to case and punctuation; or a placeholder."""
    plain = {re.sub(r"[\W_]+", " ", name).casefold(): name for name in taxonomy.names}
    return plain.get(re.sub(r"[\W_]+", " ", part).casefold(), "CLASS or void")
