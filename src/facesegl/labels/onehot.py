"""Index mask to bit-packed one-hot mask and back."""

import numpy as np

from facesegl.labels.taxonomy import VOID


def packed_depth(num_classes: int) -> int:
    """Bytes for one pixel: ceil(num_classes / 8)."""
    return -(-num_classes // 8)


def pack_onehot(mask: np.ndarray, num_classes: int) -> np.ndarray:
    """Set one bit per pixel: bit `c % 8` of byte `c // 8` for class c, and no bit for void.

    Args:
        mask: (H, W) uint8, class indices; VOID and other values that are not a class set no bit.
        num_classes: number of classes.

    Returns:
        (H, W, ceil(num_classes / 8)) uint8: the one-hot mask, eight classes to a byte.

    Example:
        >>> pack_onehot(np.uint8([[0, 2, VOID]]), num_classes=3)[..., 0]
        array([[1, 4, 0]], dtype=uint8)
    """
    classes = np.arange(num_classes)
    bits = np.zeros((256, packed_depth(num_classes)), dtype=np.uint8)
    bits[classes, classes // 8] = 1 << (classes % 8)
    return np.asarray(bits[mask])


def unpack_onehot(packed: np.ndarray) -> np.ndarray:
    """The class index of each pixel, VOID where no bit is set.

    Args:
        packed: (H, W, ceil(num_classes / 8)) uint8, or with other leading axes; at most one bit set in each pixel.

    Returns:
        (H, W), or the shape of the leading axes, uint8: class indices or VOID.
    """
    mask = np.full(packed.shape[:-1], VOID, dtype=np.uint8)
    for byte in range(packed.shape[-1]):
        mask = np.minimum(mask, class_of_byte(byte)[packed[..., byte]])
    return mask


def class_of_byte(byte: int) -> np.ndarray:
    """A (256,) uint8 table from byte number `byte` of a packed pixel to its class index; VOID for no bit."""
    table = np.full(256, VOID, dtype=np.uint8)
    table[1 << np.arange(8)] = np.minimum(8 * byte + np.arange(8), VOID)
    return table
