"""Boundary F: how well the outlines of the classes fit, which IoU hardly reflects for large classes.

Csurka, Larlus, Perronnin and Meylan, What is a good evaluation measure for semantic segmentation? (BMVC 2013), with
one difference: matches are pooled over the photos before dividing, like the confusion counts.
"""

import functools

import numpy as np
import torch
from torch import Tensor

from facesegl.errors import DataError
from facesegl.labels.onehot import pack_onehot
from facesegl.labels.taxonomy import VOID

TOLERANCE = 2
"""In pixels of the photo: the largest distance between matching boundary pixels."""


def boundary_counts(preds: np.ndarray, target: np.ndarray, num_classes: int, tolerance: float = TOLERANCE) -> Tensor:
    """Count the boundary pixels of each class in a photo, and those that match the other mask.

    A pixel is on the boundary of its class if one of its four neighbours is of another class; the photo's border is no
    boundary. It matches if the other mask has a boundary pixel of the same class within `tolerance`.
    Void pixels of a mask, and their four neighbours, are on no boundary of that mask and are not counted in the other;
    but other pixels may match them, otherwise an outline next to void would never fit.

    Args:
        preds: (H, W) of any integer type, class indices or VOID.
        target: (H, W) of any integer type, class indices or VOID.
        num_classes: number of classes.
        tolerance: the largest Euclidean distance of a match, in pixels.

    Returns:
        (C, 4) int64: predicted with a match, predicted, true with a match, true. Add them up over photos.

    Raises:
        DataError: the shapes differ.
    """
    if preds.shape != target.shape:
        raise DataError(
            f"scores: the prediction is {preds.shape[0]}x{preds.shape[1]} and its mask {target.shape[0]}x"
            f"{target.shape[1]}; expected the same size. Resize the logits to the mask before the argmax."
        )
    known = [~_with_neighbours(mask == VOID) for mask in (preds, target)]
    edges = [_edges(mask) & its for mask, its in zip((preds, target), known, strict=True)]
    near_predicted, near_true = (
        _dilate(pack_onehot(np.where(edge, mask, VOID), num_classes), tolerance)
        for edge, mask in zip(edges, (preds, target), strict=True)
    )
    predicted, true = (edge & known[0] & known[1] for edge in edges)
    found = _matches(preds[predicted], near_true[predicted], num_classes)
    met = _matches(target[true], near_predicted[true], num_classes)
    return torch.from_numpy(np.stack((*found, *met), axis=1))


def boundary_f(counts: Tensor) -> Tensor:
    """F1 of each class's boundary: the harmonic mean of the shares of predicted and of true pixels with a match.

    The pooled `boundary_f` of a set is the mean over classes, NaN left out.

    Args:
        counts: (C, 4) int64, pooled over photos, as from `boundary_counts`.

    Returns:
        (C,) float64; 0 if only one mask has a boundary of the class, NaN if neither has.
    """
    found, predicted, met, true = counts.to("cpu", torch.float64).unbind(dim=-1)
    precision, recall = found / predicted.clamp(min=1), met / true.clamp(min=1)
    harmonic = 2 * precision * recall / (precision + recall).where(precision + recall > 0, 1)
    return harmonic.where(predicted + true > 0, torch.nan)


def _edges(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool, true where one of the four neighbours in a mask (H, W) has another value."""
    edges = np.zeros(mask.shape, dtype=bool)
    for ahead, back in (np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1]):
        differs = mask[ahead] != mask[back]
        edges[ahead] |= differs
        edges[back] |= differs
    return edges


def _with_neighbours(void: np.ndarray) -> np.ndarray:
    """(H, W) bool, true at true pixels and at their four neighbours."""
    grown: np.ndarray = void | _edges(void)  # every neighbour of another value touches a true pixel
    return grown


def _dilate(bits: np.ndarray, radius: float) -> np.ndarray:
    """OR the bytes of each pixel (H, W, D) uint8 with those of all pixels within `radius`: eight classes to a byte."""
    height, width = bits.shape[:2]
    reach = int(radius)
    padded = np.pad(bits, ((reach, reach), (reach, reach), (0, 0)))
    dilated = np.zeros_like(bits)
    for down, right in _disk(radius):
        dilated |= padded[down : down + height, right : right + width]
    return dilated


@functools.cache
def _disk(radius: float) -> list[tuple[int, int]]:
    """Row and column of the cells of a disk, from the corner of its bounding square."""
    reach = int(radius)
    side = range(-reach, reach + 1)
    return [(down + reach, right + reach) for down in side for right in side if down**2 + right**2 <= radius**2]


def _matches(classes: np.ndarray, near: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Per class (C,) int64, of boundary pixels (K,): those with their class's bit in `near` (K, D) uint8, and all."""
    classes = classes.astype(np.int64)
    matched = np.unpackbits(near, axis=1, bitorder="little")[np.arange(len(classes)), classes].astype(bool)
    return np.bincount(classes[matched], minlength=num_classes), np.bincount(classes, minlength=num_classes)
