"""What libraries say that nobody can act on is left out; each line names its cause."""

import contextlib
import logging
import warnings
from collections.abc import Iterator

_SAID = (
    r".*does not have many workers.*",  # cached data need none
    r".*isinstance\(treespec, LeafSpec\).*",  # Lightning's own use of torch
    r"Grad strides do not match bucket view strides.*",  # weights lie channels last, DDP's buckets do not
    r"Checkpoint directory .* exists and is not empty.*",  # a resumed run's is not
)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Around what uses Lightning; also as a decorator."""
    for name in ("pytorch_lightning", "pytorch_lightning.utilities.rank_zero", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # tips, and which devices there are
    with warnings.catch_warnings():
        for message in _SAID:
            warnings.filterwarnings("ignore", message)
        yield
