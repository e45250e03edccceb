"""Read a mask from any kind of file: colors, numbers, NumPy arrays, or one image per part.

`kind: auto` detects:

- `.npy`: numbers (H, W), or one-hot layers.
- A color image: each class has the taxonomy's color; blended edges are decoded by the project's rule.
- A grey image: numbers, if the taxonomy defines all of them; else greys that are colors of classes.
- A palette image: its colors, if those in use are the taxonomy's, one per class; else its numbers.
"""

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

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
    uniform_areas,
)
from facesegl.labels.taxonomy import Taxonomy
from facesegl.sources.images import open_image, to_rgba, upright
from facesegl.sources.listing import require_regular
from facesegl.sources.stored import channel_bits, lossy_format, number_step

Kind = Literal["auto", "colour", "index", "parts", "probabilities"]
"""The format of a mask file; with `parts` and `probabilities` a mask has several files."""

Overlap = Literal["order", "smallest"]
"""Which of several overlapping parts wins: the later one in the taxonomy's order, or the smallest."""

_WITH_ALPHA = ("1", "L", "P", "RGB", "LA", "PA", "RGBA", "La", "RGBa")  # modes whose alpha Pillow can convert
_COLOR_WITH_ALPHA = ("P", "RGB", "LA", "PA", "RGBA", "La", "RGBa")
_HALF = 127  # the largest alpha that is not painted
_FAINT = 1e-3  # share of the pixels in faint areas
_SHOWN = 8


def read_mask_file(path: Path, kind: Kind, taxonomy: Taxonomy, rest: str = "background") -> Decoded:
    """Read a mask of kind `auto`, `colour` or `index` from an `.npy` file or an image, upright by its EXIF orientation.

    Args:
        path: the file.
        kind: the format of the mask.
        taxonomy: the classes.
        rest: the class of pixels that are more than half transparent, or `void`. A transparent entry of a palette is a
            number like any other if the mask holds numbers.

    Raises:
        ConfigError: `rest` is not a class, but the mask has transparent pixels.
        DataError: it cannot be read, contains values that the taxonomy does not define, or holds numbers or similar
            colors in a lossy format.
    """
    with _naming(path):
        if path.suffix.casefold() == ".npy":
            array = _load_array(path)
            return decode_numbers(array, taxonomy) if array.ndim == 2 else decode_layers(array, taxonomy)
        image, lossy, step = _open(path)
        alpha = None if kind == "index" and "transparency" in image.info else _alpha(image)
        raw = _raw(image)
        seen = raw.reshape(-1, *raw.shape[2:]) if alpha is None else raw[alpha > _HALF]
        palette = _palette(image) if image.mode in ("P", "PA") else None
        if kind == "colour" or (kind == "auto" and _holds_colors(seen, palette, step, lossy is not None, taxonomy)):
            if lossy:
                _require_distinct(lossy, taxonomy)
            return _over_rest(_rgb(image), alpha, lambda colors: _decoded(colors, taxonomy), taxonomy, rest)
        if raw.ndim == 3:
            raw = _as_numbers(raw, seen, image.mode)
        if lossy:
            raise DataError(
                f"class numbers saved as {lossy}; export as PNG from where they were drawn, since it "
                f"changes numbers, and a conversion of this file does not restore them."
            )
        if "transparency" in image.info:
            alpha = None
        numbers = _unscaled(raw, step)
        return _over_rest(numbers, alpha, lambda found: decode_numbers(found, taxonomy, palette), taxonomy, rest)


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
        images, below = ((value, _grey(path)) for value, path in ordered), value_of_rest(rest, taxonomy)
        if kind == "probabilities":
            return likeliest_parts(images, below)
        return overlay_parts(images, below, smallest_on_top=overlap == "smallest")


def value_of_rest(rest: str, taxonomy: Taxonomy) -> int:
    """The class index, or VOID, of the pixels that belong to no part.

    Raises:
        ConfigError: no class has that name.
    """
    try:
        return taxonomy.value_of(rest)
    except ConfigError:
        raise ConfigError(
            f"data.source.rest={rest}: no class of that name; expected one of {', '.join(taxonomy.names)}, or void: "
            f"the class of pixels that belong to no part, or are transparent."
        ) from None


def _require_distinct(lossy: str, taxonomy: Taxonomy) -> None:
    """Raise if a lossy format may turn the color of a class into that of another one."""
    known = taxonomy.raw_colours()
    pairs = (pair for pair in itertools.combinations(known, 2) if known[pair[0]] != known[pair[1]])
    apart = {pair: max(abs(one - other) for one, other in zip(*pair, strict=True)) for pair in pairs}
    closest = min(apart, key=lambda pair: apart[pair], default=None)
    if closest and apart[closest] < TOLERANCE:
        one, other = (
            f"{[*taxonomy.names, 'void'][min(known[color], taxonomy.num_classes)]} {color}" for color in closest
        )
        raise DataError(
            f"saved as {lossy}, which changes colours, and those of {one} and {other} differ by less than {TOLERANCE}; "
            f"export as PNG from where they were drawn, since a conversion of this file does not restore them."
        )


def _decoded(colors: np.ndarray, taxonomy: Taxonomy) -> Decoded:
    """Decode (H, W, 3) uint8; an area in the color of no class is an error, since the rule would guess its class."""
    decoded = decode_mask(colors, taxonomy)
    if decoded.inexact.any() and (foreign := foreign_colour(colors, taxonomy)):
        color, share = foreign
        raw = ", ".join(map(str, color))
        raise DataError(
            f"holds ({raw}), which is not the colour of a class: add it to `classes`, as `void`, or to `remap` with "
            f'every other colour, as `remap: {{"{raw}": CLASS or void, ...}}` ({share:.1%} of the pixels).'
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


class _Opened(NamedTuple):
    """An upright image, the name of its format if that is lossy, and by what Pillow has multiplied its numbers."""

    image: Image.Image
    lossy: str | None
    step: float


def _open(path: Path) -> _Opened:
    image = open_image(path, alone=True)
    if image.mode == "F":
        raise DataError("a floating-point image (mode F); expected 8 or 16 bits. Save numbers as PNG or .npy.")
    if (
        channel_bits(path, image) == 16
        and image.mode in ("RGB", "LA", "RGBA")
        and not np.asarray(image.convert("RGB")).any()
    ):
        raise DataError(
            "16 bits per channel, of which the upper 8 are read, and these are all 0; save it with 8 bits per channel, "
            "or numbers as a grey PNG without alpha."
        )
    return _Opened(upright(image), lossy_format(path, image), number_step(path, image))


def _raw(image: Image.Image) -> np.ndarray:
    """The numbers (H, W) of a grey or palette image, or the colors (H, W, 3) uint8 of any other."""
    if image.mode in ("LA", "PA"):
        image = image.getchannel(0)
    return np.asarray(image) if image.mode in ("L", "P", "1", "I") or image.mode.startswith("I;16") else _rgb(image)


def _rgb(image: Image.Image) -> np.ndarray:
    """The colors (H, W, 3) uint8; not multiplied with alpha."""
    if image.mode.startswith("I"):
        deep = np.asarray(image)
        if deep.max() > 255:
            raise DataError("holds values above 255, which are no colours; use data.source.kind=index for numbers.")
        return np.repeat(deep.astype(np.uint8)[..., None], 3, axis=2)
    return np.asarray((to_rgba(image) if image.mode in ("La", "RGBa") else image).convert("RGB"))


def _alpha(image: Image.Image) -> np.ndarray | None:
    """The opacity (H, W) uint8; None if all pixels are opaque, or all have 0, with which some programs pad."""
    if not image.has_transparency_data or image.mode not in _COLOR_WITH_ALPHA:
        return None  # a transparent grey is a number or a color like any other
    pixels = np.asarray(to_rgba(image))
    alpha = pixels[..., 3]
    padded = not alpha.any() and (pixels != pixels[0, 0]).any()
    return None if padded or (alpha == 255).all() else alpha


def _over_rest(
    pixels: np.ndarray, alpha: np.ndarray | None, decode: Callable[[np.ndarray], Decoded], taxonomy: Taxonomy, rest: str
) -> Decoded:
    """Decode numbers (H, W) or colors (H, W, 3); pixels with an alpha (H, W) of at most half are `rest`."""
    if alpha is None:
        return decode(pixels)
    _require_opaque(pixels, alpha)
    hidden, below = alpha <= _HALF, value_of_rest(rest, taxonomy)
    if hidden.all():
        return Decoded(np.full(alpha.shape, below, dtype=np.uint8), np.zeros(alpha.shape, dtype=bool))
    known = taxonomy.raw_colours() if pixels.ndim == 3 else {}
    pixels = pixels.copy()  # what is hidden must not count as a neighbour, or as an unknown value
    pixels[hidden] = next((color for color, value in known.items() if value == below), pixels[~hidden][0])
    mask, inexact = decode(pixels)
    mask[hidden] = below
    return Decoded(mask, np.where(hidden, False, inexact) | ((alpha > 0) & (alpha < 255)))


def _require_opaque(pixels: np.ndarray, alpha: np.ndarray) -> None:
    """Raise if areas are faint: whether these are painted would be a guess."""
    packed = pixels.astype(np.int64) @ [1 << 24, 1 << 16, 1 << 8] if pixels.ndim == 3 else pixels.astype(np.int64) << 8
    areas = uniform_areas(packed + alpha, (alpha > 0) & (alpha <= _HALF))
    if areas.mean() > _FAINT:
        opacity = int(alpha[areas][0]) / 255
        raise DataError(
            f"painted with an opacity of {opacity:.0%} in {areas.mean():.1%} of its pixels; expected more than half. "
            f"Save it with full opacity, or without alpha."
        )


def _unscaled(greys: np.ndarray, step: float) -> np.ndarray:
    return greys if step == 1 else np.rint(greys / step).astype(np.uint16)


def _as_numbers(colors: np.ndarray, seen: np.ndarray, mode: str) -> np.ndarray:
    """The numbers (H, W) of an image (H, W, 3) whose three channels are equal where it is seen, (P, 3)."""
    if not _is_grey(seen):
        raise DataError(
            f"a colour image (mode {mode}); expected numbers, in a grey or palette PNG. If the colours are those "
            f"of the classes, use data.source.kind=colour."
        )
    return np.asarray(colors[..., 0])


def _is_grey(colors: np.ndarray) -> bool:
    """Whether all colors (P, 3) are grey."""
    return bool((colors[..., :1] == colors).all())


def _holds_colors(seen: np.ndarray, palette: np.ndarray | None, step: float, lossy: bool, taxonomy: Taxonomy) -> bool:
    """Whether painted pixels, (P, 3) or (P,) of a palette (256, 3) or of greys, are colors and not numbers."""
    if not len(seen):
        return True
    if palette is not None and (palette[seen] != seen[:, None]).any():  # a ramp is in effect a grey image
        return _palette_holds_colors(np.unique(seen), palette, taxonomy)
    if seen.ndim == 2:
        return not _is_grey(seen) or _greys_are_colors(seen[:, 0], seen[:, 0], taxonomy, preferred=True)
    return _greys_are_colors(_unscaled(seen, step), seen, taxonomy, preferred=lossy)


def _palette_holds_colors(used: np.ndarray, palette: np.ndarray, taxonomy: Taxonomy) -> bool:
    known, colors = taxonomy.raw_colours(), palette[used]
    squared = np.square(colors[:, None].astype(int) - np.array([*known])).sum(axis=-1)
    nearest, claimed = squared.min(axis=1), np.array([*known.values()])[squared.argmin(axis=1)]
    one_each = bool((nearest <= TOLERANCE**2).all()) and len(np.unique(claimed)) == len(used)
    if (nearest == 0).all() or one_each:
        return True
    known_numbers = np.isin(used, [*taxonomy.raw_numbers()]).sum()
    ambiguous = _is_grey(colors) and are_known(colors[:, 0], taxonomy)  # programs that shrink files renumber greys
    if not ambiguous and (known_numbers == len(used) or known_numbers > (nearest <= TOLERANCE**2).sum()):
        return False
    shown = "; ".join(f"{entry}: {', '.join(map(str, palette[entry]))}" for entry in used[:_SHOWN])
    which, remedy = (
        ("both the greys and the numbers", "use data.source.kind=index, or save its greys as a grey PNG")
        if ambiguous
        else ("neither all colours nor all numbers", "map each in the taxonomy's remap")
    )
    raise DataError(
        f"a palette image in which {which} are the taxonomy's (entries in use, with their colours: {shown}"
        f"{' ...' if len(used) > _SHOWN else ''}). If its edges are blended, use data.source.kind=colour; if it "
        f"contains numbers, {remedy}."
    )


def _greys_are_colors(numbers: np.ndarray, greys: np.ndarray, taxonomy: Taxonomy, preferred: bool) -> bool:
    """Whether greys (P,) are colors of classes, not numbers (P,); `preferred` settles what may be both."""
    found = np.unique(greys)
    exact = np.isin(found, [red for red, green, blue in taxonomy.raw_colours() if red == green == blue])
    if not (preferred and exact.all()) and are_known(numbers, taxonomy):
        return False
    # blended edges are between the greys of classes; a wrong number does not occur together with two of those greys
    return bool(found[-1] < 256 and (exact.all() or exact.sum() > 1))


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
        image, lossy, _step = _open(path)
        if image.has_transparency_data and image.mode in _WITH_ALPHA:
            return _read_transparent(image)
        raw = _raw(image) if image.mode != "P" else _rgb(image)
        if raw.ndim == 3:
            raw = np.asarray(Image.fromarray(raw).convert("L"))
        if lossy and raw.max() == 1:
            raise DataError(f"the numbers 0 and 1 saved as {lossy}, which changes them; export as PNG.")
        return raw if raw.dtype in (np.bool_, np.uint8) else np.clip(raw, 0, 65535).astype(np.uint16)


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
