import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facesegl.data import FaceCache, unpack_masks
from facesegl.data.dataset import PADDING, BatchOrder, CachedFaces, FaceLoader, ResumableLoader, seed_of
from facesegl.labels import VOID
from facesegl.sources import FASSEG
from helpers.faces import FASSEG6

INDICES = np.arange(100, 110)
GOLDEN = [[106, 103, 101, 105], [108, 107, 100, 102], [109, 104]]
GOLDEN_SEED = 3964924996


def order(indices=INDICES, batch_size=4, seed=0, rank=0, world_size=1, start=0):
    made = BatchOrder(indices, batch_size, seed, rank, world_size)
    made.start = start
    return made


def drawn(batches):
    return [(draw.indices.tolist(), draw.seed) for draw in batches]


def epoch_of(**options):
    return np.concatenate([draw.indices for draw in order(**options)]).tolist()


@pytest.fixture
def faces(fasseg, tmp_path):
    return CachedFaces(FaceCache(FASSEG(str(fasseg.parent), "V2"), FASSEG6, 16, tmp_path / "cache"))


def loader(faces, workers=0, seed=0, batch_size=2, kind=ResumableLoader):
    return kind(faces, BatchOrder(np.arange(5), batch_size, seed, 0, 1), workers)


def same(one, other):
    assert len(one) == len(other)
    for mine, theirs in zip(one, other, strict=True):
        assert all(torch.equal(*pair) for pair in zip(mine[:3], theirs[:3], strict=True))
        assert mine.seed == theirs.seed


@given(st.integers(0, 2**32), st.integers(0, 50), st.integers(1, 7))
def test_a_batch_depends_only_on_seed_and_number(seed, number, batch_size):
    asked = {"seed": seed, "batch_size": batch_size}
    epochs = (order(start=start, **asked) for start in itertools.count(0, len(order(**asked))))
    straight = next(itertools.islice(itertools.chain.from_iterable(epochs), number, None))
    assert drawn([next(iter(order(start=number, **asked)))]) == drawn([straight])


def test_batches_are_the_same_on_every_machine():
    assert [draw.indices.tolist() for draw in order(seed=0)] == GOLDEN
    assert seed_of(0, 1) == GOLDEN_SEED


def test_batches_do_not_depend_on_the_global_generators():
    torch.manual_seed(1)
    np.random.seed(1)
    before = drawn(order())
    torch.manual_seed(2)
    np.random.seed(2)
    state = torch.get_rng_state()
    assert drawn(order()) == before
    assert torch.equal(torch.get_rng_state(), state)


def test_start_continues_exactly_even_within_an_epoch():
    straight = [draw for epoch in range(4) for draw in order(start=3 * epoch)]
    for start in range(9):
        assert drawn(order(start=start)) == drawn(straight[start : start + 3])


@pytest.mark.parametrize("batch_size", [1, 3, 4, 10, 16])
def test_every_epoch_has_each_photo_once_in_a_new_order(batch_size):
    batches = len(order(batch_size=batch_size))
    epochs = [epoch_of(batch_size=batch_size, start=epoch * batches) for epoch in range(6)]
    assert all(sorted(epoch) == INDICES.tolist() for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6


def test_an_epoch_is_shuffled_once_however_many_batches_it_has(monkeypatch):
    shuffles = []
    monkeypatch.setattr("facesegl.data.dataset.shuffled", lambda indices, *numbers: shuffles.append(1) or indices)
    batches = order(batch_size=1)
    assert [len(list(batches)), len(list(batches)), len(shuffles)] == [10, 10, 1]


def test_seeds_differ_between_batches_and_ranks():
    seeds = [draw.seed for seed in (0, 1) for rank in (0, 1) for draw in order(seed=seed, rank=rank, world_size=2)]
    assert len(set(seeds)) == len(seeds) == 8
    assert seed_of(0, 1) != seed_of(1, 0)


@pytest.mark.parametrize("world_size", [2, 3, 4])
@pytest.mark.parametrize("number_of_photos", [1, 5, 10, 12, 13])
def test_ranks_share_every_batch_without_overlap(world_size, number_of_photos):
    indices = np.arange(number_of_photos)
    ranks = [list(order(indices, 2, world_size=world_size, rank=rank)) for rank in range(world_size)]
    assert len({len(batches) for batches in ranks}) == 1
    together = [np.concatenate([draw.indices for draw in draws]) for draws in zip(*ranks, strict=True)]
    for draws in zip(*ranks, strict=True):
        assert len({len(draw.indices) for draw in draws}) == 1
        assert len(draws[0].indices) > 0
    for batch in together[:-1]:
        assert len(set(batch)) == len(batch) == 2 * world_size
    assert set(np.concatenate(together)) == set(indices)
    assert PADDING not in np.concatenate(together)


def test_several_ranks_together_have_the_batches_of_one_rank_with_a_larger_batch():
    alone = [set(draw.indices) for draw in order(batch_size=4)]
    two = [order(batch_size=2, rank=rank, world_size=2) for rank in (0, 1)]
    assert [set(one.indices) | set(other.indices) for one, other in zip(*two, strict=True)] == alone


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@pytest.mark.parametrize("number_of_photos", [1, 5, 10, 12])
def test_validation_has_each_photo_once_on_any_number_of_ranks(world_size, number_of_photos):
    indices = np.arange(number_of_photos)
    ranks = [list(order(indices, 2, seed=None, world_size=world_size, rank=rank)) for rank in range(world_size)]
    assert len({len(batches) for batches in ranks}) == 1
    shown = np.concatenate([draw.indices for batches in ranks for draw in batches])
    assert sorted(shown[shown != PADDING]) == indices.tolist()
    assert epoch_of(seed=None) == epoch_of(seed=None, start=3) == INDICES.tolist(), "in the same order in every epoch"


def test_padding_is_a_black_image_with_a_mask_of_void_and_does_not_modify_the_cache(faces):
    before = faces.cache.read(np.arange(2))
    draw = list(order(np.arange(3), 2, seed=None, rank=1, world_size=2))[-1]
    assert draw.indices.tolist() == [2, PADDING]
    batch = faces.__getitems__(draw)
    assert batch.image[0].any()
    assert not batch.image[1].any()
    masks = unpack_masks(batch.packed)
    assert (masks[1] == VOID).all()
    assert (masks[0] != VOID).all()
    after = faces.cache.read(np.arange(2))
    assert all((one == other).all() for one, other in zip(before, after, strict=True))


def test_a_batch_has_uint8_images_packed_masks_and_indices(faces):
    batch = next(iter(loader(faces)))
    assert (batch.image.shape, batch.image.dtype) == ((2, 3, 16, 16), torch.uint8)
    assert batch.image.is_contiguous(memory_format=torch.channels_last)
    assert (batch.packed.shape, batch.packed.dtype) == ((2, 16, 16, 1), torch.uint8)
    photos, masks = faces.cache.read(batch.indices.numpy())
    assert (batch.image.permute(0, 2, 3, 1).numpy() == photos).all()
    assert (batch.packed.numpy() == masks).all()


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("had", [1, 2, 3, 4, 6])
def test_a_loader_continues_after_the_batches_of_another(faces, workers, had):
    straight = loader(faces)
    batches = [*straight, *straight, *straight, *straight]
    first = loader(faces, workers)
    taken = list(itertools.islice(itertools.chain(first, first, first), had))
    same(taken, batches[:had])
    assert first.state_dict() == {"batches": had}
    resumed = loader(faces, workers)
    resumed.load_state_dict(first.state_dict())
    same(list(resumed), batches[had : had + 3])


def test_iterating_does_not_advance_the_global_generator(faces):
    state = torch.get_rng_state()
    list(loader(faces))
    list(loader(faces, seed=None, kind=FaceLoader))
    assert torch.equal(torch.get_rng_state(), state)
