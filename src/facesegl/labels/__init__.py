"""What a mask means: colours, class indices, bit-packed one-hot, and their sizes. NumPy only, pure functions."""

from typing import TYPE_CHECKING

from facesegl._lazy import attach

if TYPE_CHECKING:
    from facesegl.labels.colours import distinct_colours as distinct_colours
    from facesegl.labels.decode import Decoded as Decoded
    from facesegl.labels.decode import decode_mask as decode_mask
    from facesegl.labels.decode import foreign_colour as foreign_colour
    from facesegl.labels.decode import mask_to_colours as mask_to_colours
    from facesegl.labels.numbers import are_known as are_known
    from facesegl.labels.numbers import decode_layers as decode_layers
    from facesegl.labels.numbers import decode_numbers as decode_numbers
    from facesegl.labels.onehot import pack_onehot as pack_onehot
    from facesegl.labels.onehot import packed_depth as packed_depth
    from facesegl.labels.onehot import unpack_onehot as unpack_onehot
    from facesegl.labels.parts import likeliest_parts as likeliest_parts
    from facesegl.labels.parts import overlay_parts as overlay_parts
    from facesegl.labels.resize import restore_mask as restore_mask
    from facesegl.labels.resize import shrink_mask as shrink_mask
    from facesegl.labels.sides import likely_pairs as likely_pairs
    from facesegl.labels.taxonomy import VOID as VOID
    from facesegl.labels.taxonomy import Colour as Colour
    from facesegl.labels.taxonomy import Taxonomy as Taxonomy

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Colour": "facesegl.labels.taxonomy",
        "Decoded": "facesegl.labels.decode",
        "Taxonomy": "facesegl.labels.taxonomy",
        "VOID": "facesegl.labels.taxonomy",
        "are_known": "facesegl.labels.numbers",
        "decode_layers": "facesegl.labels.numbers",
        "decode_mask": "facesegl.labels.decode",
        "decode_numbers": "facesegl.labels.numbers",
        "distinct_colours": "facesegl.labels.colours",
        "foreign_colour": "facesegl.labels.decode",
        "likeliest_parts": "facesegl.labels.parts",
        "likely_pairs": "facesegl.labels.sides",
        "mask_to_colours": "facesegl.labels.decode",
        "overlay_parts": "facesegl.labels.parts",
        "pack_onehot": "facesegl.labels.onehot",
        "packed_depth": "facesegl.labels.onehot",
        "restore_mask": "facesegl.labels.resize",
        "shrink_mask": "facesegl.labels.resize",
        "unpack_onehot": "facesegl.labels.onehot",
    },
)
