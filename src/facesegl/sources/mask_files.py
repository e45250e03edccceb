"""Read a mask, whatever kind of file it is: colours, numbers, NumPy arrays, or one picture a part.

What is told apart here, where nobody says what it is (`kind: auto`):

- `.npy`: numbers (H, W), or one-hot layers.
- A picture with colours: each class has the taxonomy's colour; blended rims are read by the project's rule.
- A grey picture: numbers, if the taxonomy knows all of them; else greys that are colours of classes.
- A palette picture: its colours, if those in use are the taxonomy's, one a class; else its numbers.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from facesegl.errors import ConfigError, DataError
from facesegl.labels.decode import TOLERANCE, Decoded, decode_mask, foreign_colour
from facesegl.labels.numbers import are_known, decode_layers, decode_numbers
from facesegl.labels.parts import likeliest_parts, overlay_parts
from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.images import open_image, upright
from facesegl.sources.listing import require_regular

Kind = Literal["auto", "colour", "index", "parts", "probabilities"]
"""What a mask's file holds; `parts` and `probabilities` are several files a mask."""

Overlap = Literal["order", "smallest"]
"""Which part counts where several lie over each other: the later one in the taxonomy's order, or the smallest."""

_WITH_ALPHA = ("1", "L", "P", "RGB", "LA", "PA", "RGBA", "La", "RGBa")  # modes whose alpha Pillow can tell

_SHOWN = 8


def read_mask_file(path: Path, kind: Kind, taxonomy: Taxonomy) -> Decoded:
    """Read a mask that is one file, upright as its EXIF data say.

    Args:
        path: a picture or an `.npy` file.
        kind: `auto`, `colour` or `index`.
        taxonomy: the classes.

    Raises:
        DataError: it cannot be read, or holds what the taxonomy does not know.
    """
    with _naming(path):
        if path.suffix.casefold() == ".npy":
            array = _load_array(path)
            return decode_numbers(array, taxonomy) if array.ndim == 2 else decode_layers(array, taxonomy)
        image = upright(open_image(path, alone=True))
        if kind == "auto":
            pixels = _recognised(image, taxonomy)
        else:
            pixels = np.asarray(image.convert("RGB")) if kind == "colour" else _numbers(image)
        return _decoded(pixels, taxonomy) if pixels.ndim == 3 else decode_numbers(pixels, taxonomy)


def read_mask_parts(
    parts: Sequence[tuple[str, Path]], kind: Kind, overlap: Overlap, rest: str, taxonomy: Taxonomy
) -> Decoded:
    """Read a mask that is one file a part.

    Args:
        parts: names and files; a name may come several times.
        kind: `parts` for black and white pictures, `probabilities` for grey ones of which the brightest counts.
        overlap: which of several black and white parts counts.
        rest: the class of pixels without any part, or `void`.
        taxonomy: the classes, and which parts they are made of.

    Raises:
        ConfigError: `rest` is no class.
        DataError: a file cannot be read, or a part is none that the taxonomy knows.
    """
    folder = parts[0][1].parent
    known = taxonomy.raw_names()
    if unknown := sorted({name for name, _path in parts} - known.keys()):
        first = next(path for name, path in parts if name == unknown[0])
        raise DataError(
            f"{first}: the taxonomy knows no part {', '.join(unknown)}; it knows {', '.join(known)}. Say in its YAML "
            f"what every part is, and not only these: `remap: {{{unknown[0]}: {_alike(unknown[0], taxonomy)}, ...}}`."
        )
    if kind == "probabilities":
        known = dict(sorted(known.items(), key=lambda item: item[1]))  # those of a class follow each other
        if lacking := sorted(known.keys() - {name for name, _path in parts}):
            raise DataError(f"{folder}: {parts[0][1].stem} has no file for {', '.join(lacking)}; expected one a part.")
    with _naming(*(path for _name, path in parts)):
        ordered = ((known[name], path) for name in known for other, path in parts if other == name)
        pictures, below = ((value, _grey(path)) for value, path in ordered), _value_of_rest(rest, taxonomy)
        if kind == "probabilities":
            return likeliest_parts(pictures, below)
        return overlay_parts(pictures, below, smallest_on_top=overlap == "smallest")


def _value_of_rest(rest: str, taxonomy: Taxonomy) -> int:
    try:
        return taxonomy.value_of(rest)
    except ConfigError:
        raise ConfigError(
            f"data.source.rest={rest}: no class of that name; expected one of {', '.join(taxonomy.names)}, or void: "
            f"what pixels are that no part claims."
        ) from None


def _decoded(colours: np.ndarray, taxonomy: Taxonomy) -> Decoded:
    """Decode colours (H, W, 3) uint8, none of which may be a class that the taxonomy lacks: the rule would guess it.

    Raises:
        DataError: there is such a colour, or most are far from every class.
    """
    decoded = decode_mask(colours, taxonomy)
    if decoded.inexact.any() and (foreign := foreign_colour(colours, taxonomy)):
        colour, share = foreign
        raise DataError(
            f"{share:.1%} of its pixels are {colour}, which is the colour of no class. Say in the taxonomy's YAML what "
            f"it is: a class's own colour, or void, or in remap with every other colour, such as "
            f'`remap: {{"{", ".join(map(str, colour))}": CLASS or void, ...}}`.'
        )
    return decoded


@contextlib.contextmanager
def _naming(*paths: Path) -> Iterator[None]:
    """Put the first file's name before what is wrong, unless that names one of them already."""
    try:
        yield
    except DataError as error:
        if any(str(path) in str(error) for path in paths):
            raise
        raise DataError(*(f"{paths[0]}: {problem}" for problem in error.problems)) from None


def _load_array(path: Path) -> np.ndarray:
    """The array of an `.npy` file, of two or three axes and of integers or bools; or of three, of any numbers."""
    require_regular(path)
    try:
        array = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except FileNotFoundError:
        raise DataError("no such file; it was there when the folder was listed.") from None
    except Exception as error:  # NumPy raises what it likes on broken headers
        reason = " ".join(str(error).split())
        raise DataError(f"no NumPy array that can be read ({reason}); save it anew with numpy.save.") from None
    if not array.size:
        raise DataError(f"an array of shape {array.shape}; expected pixels.")
    whole = array.dtype.kind in "iub"
    if array.ndim not in (2, 3) or array.dtype.kind not in "iubf" or not (whole or array.ndim == 3):
        raise DataError(
            f"an array of shape {array.shape} and type {array.dtype}; expected integers (H, W), or one-hot layers "
            f"(C, H, W) or (H, W, C)."
        )
    return array


def _numbers(image: Image.Image) -> np.ndarray:
    """The numbers (H, W) of a grey or palette picture, or of one whose three colours are the same everywhere.

    Raises:
        DataError: it has colours.
    """
    if image.mode in ("L", "P", "1", "I") or image.mode.startswith("I;16"):
        return np.asarray(image)
    if image.mode in ("LA", "PA"):
        return np.asarray(image.getchannel(0))
    colours = np.asarray(image.convert("RGB"))
    if image.mode == "F" or not _is_grey(colours):
        raise DataError(
            f"a picture with colours (mode {image.mode}); expected numbers, in a grey or palette PNG. If the colours "
            f"are the classes', use data.source.kind=colour."
        )
    return np.asarray(colours[..., 0])


def _is_grey(colours: np.ndarray) -> bool:
    """Whether red, green and blue are the same in all of (..., 3) colours."""
    return bool((colours[..., 0] == colours[..., 1]).all() and (colours[..., 0] == colours[..., 2]).all())


def _recognised(image: Image.Image, taxonomy: Taxonomy) -> np.ndarray:
    """What a picture seems to hold: colours (H, W, 3) uint8, or numbers (H, W) of any integer type."""
    if image.mode in ("P", "PA"):
        numbers, colours = _numbers(image), _palette(image)
        used = np.unique(numbers)
        if (colours[used] == used[:, None]).all():  # a ramp of greys: a grey picture under another name
            return _of_grey(numbers, taxonomy, drawn=False)
        return _of_palette(numbers, colours, used, taxonomy)
    if image.mode in ("L", "LA", "1", "I", "F") or image.mode.startswith("I;16"):
        return _of_grey(_numbers(image), taxonomy, drawn=False)
    pixels = np.asarray(image.convert("RGB"))
    return _of_grey(pixels[..., 0], taxonomy, drawn=True) if _is_grey(pixels) else pixels


def _of_palette(numbers: np.ndarray, colours: np.ndarray, used: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """Colours (H, W, 3) or numbers (H, W) of a palette picture: its numbers, its palette (256, 3), and what is in use.

    Raises:
        DataError: neither the colours nor the numbers are the taxonomy's.
    """
    known = taxonomy.raw_colours()
    squared = np.square(colours[used][:, None].astype(int) - np.array([*known])).sum(axis=-1)
    nearest, claimed = squared.min(axis=1), np.array([*known.values()])[squared.argmin(axis=1)]
    one_each = bool((nearest <= TOLERANCE**2).all()) and len(np.unique(claimed)) == len(used)
    if (nearest == 0).all() or one_each:
        return np.asarray(colours[numbers])
    if are_known(numbers, taxonomy):
        return numbers
    shown = "; ".join(f"{entry}: {', '.join(map(str, colours[entry]))}" for entry in used[:_SHOWN])
    raise DataError(
        f"a palette picture that holds neither colours nor numbers of the taxonomy alone (entries in use, with their "
        f"colours: {shown}{' ...' if len(used) > _SHOWN else ''}). If its rims are blended, use "
        f"data.source.kind=colour; if it holds numbers, say in the taxonomy's remap what each stands for."
    )


def _of_grey(grey: np.ndarray, taxonomy: Taxonomy, drawn: bool) -> np.ndarray:
    """Greys (H, W) of any integer type as they are, or as colours (H, W, 3); colours first if they were `drawn` so."""
    greys = [red for red, green, blue in taxonomy.raw_colours() if red == green == blue]
    found = np.unique(grey)
    exact = np.isin(found, greys)
    if not (drawn and exact.all()) and are_known(grey, taxonomy):
        return grey
    # blended rims lie between the greys of classes; strays among numbers do not come with two of those greys
    if found[-1] < 256 and (exact.all() or exact.sum() > 1):
        return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)
    return grey


def _palette(image: Image.Image) -> np.ndarray:
    """The colours of a palette picture: (256, 3) uint8, black where the file has none."""
    colours = np.zeros((256, 3), dtype=np.uint8)
    own = np.array(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    colours[: len(own)] = own
    return colours


def _grey(path: Path) -> np.ndarray:
    """The picture of one part: (H, W) bool, uint8 or uint16."""
    with _naming(path):
        if path.suffix.casefold() == ".npy":
            array = _load_array(path)
            if array.ndim != 2 or array.min(initial=0) < 0 or array.max(initial=0) > 65535:
                raise DataError(f"an array of shape {array.shape}; expected (H, W) with 0 and 1, or 0 and 255.")
            return array if array.dtype in (np.bool_, np.uint8) else array.astype(np.uint16)
        image = upright(open_image(path, alone=True))
        if image.mode == "F":
            raise DataError("a picture of fractions (mode F); expected 8 or 16 bits, with 0 for black.")
        if image.has_transparency_data and image.mode in _WITH_ALPHA:
            return _of_transparent(image)
        if image.mode == "1" or image.mode == "I" or image.mode.startswith("I;16"):
            deep = np.asarray(image)
            return deep if deep.dtype == np.bool_ else np.clip(deep, 0, 65535).astype(np.uint16)
        return np.asarray(image if image.mode == "L" else image.convert("RGB").convert("L"))


def _of_transparent(image: Image.Image) -> np.ndarray:
    """The picture (H, W) uint8 of one part that has an alpha channel: that channel, where the colours say nothing.

    Raises:
        DataError: alpha and colours say different things.
    """
    image = image.convert("LA") if image.mode == "La" else image  # the one mode with no way to RGBA
    pixels = np.asarray(image.convert("RGBA"))
    colours, alpha, grey = pixels[..., :3], pixels[..., 3], np.asarray(image.convert("RGB").convert("L"))
    if (alpha == 255).all() or (not alpha.any() and len(np.unique(grey)) > 1):
        return grey  # 0 everywhere is the padding of a program that writes no alpha
    if alpha.any() and _is_one_paint(colours, alpha):
        return alpha
    white = 1 if grey.max() <= 1 else 255
    if ((grey > white // 2) == (alpha > 127)).all():
        return grey
    raise DataError(
        "its alpha channel and its colours say different things; expected black and white without alpha, or one colour "
        "with the part in alpha. Save it without alpha."
    )


def _is_one_paint(colours: np.ndarray, alpha: np.ndarray) -> bool:
    """Whether what can be seen of colours (H, W, 3) is one, and beneath alpha (H, W) 0 lies that one or black."""
    seen, hidden = colours[alpha > 0], colours[alpha == 0]
    paint = seen[0]
    return bool((seen == paint).all() and ((hidden == paint).all(axis=-1) | (hidden == 0).all(axis=-1)).all())


def _alike(part: str, taxonomy: Taxonomy) -> str:
    """The class that a part is called like, whatever stands between its words; or what one has to fill in."""
    plain = {re.sub(r"[\W_]+", " ", name).casefold(): name for name in taxonomy.names}
    return plain.get(re.sub(r"[\W_]+", " ", part).casefold(), "CLASS or void")
