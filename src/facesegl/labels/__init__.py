"""What a mask means: colours, class indices, bit-packed one-hot, and their sizes. NumPy only, pure functions."""

from facesegl.labels.decode import Decoded, decode_mask, mask_to_colours
from facesegl.labels.onehot import pack_onehot, packed_depth, unpack_onehot
from facesegl.labels.resize import restore_mask, shrink_mask
from facesegl.labels.taxonomy import VOID, Colour, Taxonomy

__all__ = [
    "VOID",
    "Colour",
    "Decoded",
    "Taxonomy",
    "decode_mask",
    "mask_to_colours",
    "pack_onehot",
    "packed_depth",
    "restore_mask",
    "shrink_mask",
    "unpack_onehot",
]
