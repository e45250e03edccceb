"""What mask pixels mean: taxonomy, decoding, bit-packed one-hot, resizing. Pure functions on NumPy arrays.

Files are read in sources/; torch tensors belong in scores/ and losses.py.
"""

from facesegl.labels.decode import (
    Decoded,
    are_known,
    decode_layers,
    decode_mask,
    decode_numbers,
    foreign_colour,
    likeliest_parts,
    mask_to_colours,
    overlay_parts,
)
from facesegl.labels.onehot import pack_onehot, packed_depth, unpack_onehot
from facesegl.labels.resize import restore_mask, shrink_mask
from facesegl.labels.taxonomy import VOID, Colour, Taxonomy, distinct_colours, likely_pairs

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
