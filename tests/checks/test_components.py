import numpy as np
import pytest

from facesegl.checks.components import connected_parts


def flooded(mask):
    """The parts of a mask, value and size, by flood fill."""
    seen, parts = np.zeros(mask.shape, bool), []
    for start in np.ndindex(mask.shape):
        if seen[start]:
            continue
        size, waiting = 0, [start]
        seen[start] = True
        while waiting:
            y, x = waiting.pop()
            size += 1
            around = [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
            for pixel in around:
                inside = 0 <= pixel[0] < mask.shape[0] and 0 <= pixel[1] < mask.shape[1]
                if inside and not seen[pixel] and mask[pixel] == mask[start]:
                    seen[pixel] = True
                    waiting.append(pixel)
        parts.append((int(mask[start]), size))
    return parts


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (7, 8), (13, 11), (30, 30)])
@pytest.mark.parametrize("values", [2, 3, 6])
def test_parts_are_those_of_a_flood_fill(shape, values):
    mask = np.random.default_rng([*shape, values]).integers(0, values, shape).astype(np.uint8)
    mask[mask == 1] = 255
    found = connected_parts(mask)
    assert list(zip(found.value.tolist(), found.size.tolist(), strict=True)) == flooded(mask)


def test_a_spiral_is_one_part_and_parts_do_not_wrap_around_the_edges():
    mask = np.zeros((41, 41), np.uint8)
    low, high = 0, 40
    while low < high:
        mask[low, low : high + 1] = mask[low : high + 1, high] = mask[high, low : high + 1] = 1
        mask[low + 2 : high + 1, low] = 1
        mask[low + 2, low : low + 2] = 1
        low, high = low + 2, high - 2
    found = connected_parts(mask)
    assert (found.value == 1).sum() == 1
    assert sorted(zip(found.value.tolist(), found.size.tolist(), strict=True)) == sorted(flooded(mask))
    mask = np.zeros((3, 5), np.uint8)
    mask[0, 4] = mask[1, 0] = 1
    assert connected_parts(mask).size[connected_parts(mask).value == 1].tolist() == [1, 1]
