"""What a mask means: colours, class indices, bit-packed one-hot, and their sizes. NumPy only, pure functions."""

from facesegl.labels.colours import distinct_colours
from facesegl.labels.decode import Decoded, decode_mask, foreign_colour, mask_to_colours
from facesegl.labels.numbers import are_known, decode_layers, decode_numbers
from facesegl.labels.onehot import pack_onehot, packed_depth, unpack_onehot
from facesegl.labels.parts import likeliest_parts, overlay_parts
from facesegl.labels.resize import restore_mask, shrink_mask
from facesegl.labels.sides import likely_pairs
from facesegl.labels.taxonomy import VOID, Colour, Taxonomy

__all__ = [
    "VOID",
    "Colour",
    "Decoded",
    "Taxonomy",
    "are_known",
    "decode_layers",
    "decode_mask",
    "decode_numbers",
    "distinct_colours",
    "foreign_colour",
    "likeliest_parts",
    "likely_pairs",
    "mask_to_colours",
    "overlay_parts",
    "pack_onehot",
    "packed_depth",
    "restore_mask",
    "shrink_mask",
    "unpack_onehot",
]
