"""What mask pixels mean: taxonomy, decoding, bit-packed one-hot, resizing. Pure functions on NumPy arrays.

Images are opened in sources/; torch tensors belong in scores/ and losses.py.
"""

from typing import TYPE_CHECKING

from facesegl._lazy import attach

if TYPE_CHECKING:
    from facesegl.labels.decode import Decoded as Decoded
    from facesegl.labels.decode import are_known as are_known
    from facesegl.labels.decode import decode_layers as decode_layers
    from facesegl.labels.decode import decode_mask as decode_mask
    from facesegl.labels.decode import decode_numbers as decode_numbers
    from facesegl.labels.decode import foreign_colour as foreign_colour
    from facesegl.labels.decode import likeliest_parts as likeliest_parts
    from facesegl.labels.decode import mask_to_colours as mask_to_colours
    from facesegl.labels.decode import overlay_parts as overlay_parts
    from facesegl.labels.onehot import pack_onehot as pack_onehot
    from facesegl.labels.onehot import packed_depth as packed_depth
    from facesegl.labels.onehot import unpack_onehot as unpack_onehot
    from facesegl.labels.resize import restore_mask as restore_mask
    from facesegl.labels.resize import shrink_mask as shrink_mask
    from facesegl.labels.taxonomy import VOID as VOID
    from facesegl.labels.taxonomy import Colour as Colour
    from facesegl.labels.taxonomy import Taxonomy as Taxonomy
    from facesegl.labels.taxonomy import distinct_colours as distinct_colours
    from facesegl.labels.taxonomy import likely_pairs as likely_pairs

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Colour": "facesegl.labels.taxonomy",
        "Decoded": "facesegl.labels.decode",
        "Taxonomy": "facesegl.labels.taxonomy",
        "VOID": "facesegl.labels.taxonomy",
        "are_known": "facesegl.labels.decode",
        "decode_layers": "facesegl.labels.decode",
        "decode_mask": "facesegl.labels.decode",
        "decode_numbers": "facesegl.labels.decode",
        "distinct_colours": "facesegl.labels.taxonomy",
        "foreign_colour": "facesegl.labels.decode",
        "likeliest_parts": "facesegl.labels.decode",
        "likely_pairs": "facesegl.labels.taxonomy",
        "mask_to_colours": "facesegl.labels.decode",
        "overlay_parts": "facesegl.labels.decode",
        "pack_onehot": "facesegl.labels.onehot",
        "packed_depth": "facesegl.labels.onehot",
        "restore_mask": "facesegl.labels.resize",
        "shrink_mask": "facesegl.labels.resize",
        "unpack_onehot": "facesegl.labels.onehot",
    },
)
