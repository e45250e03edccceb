"""Learning rate schedules that need to know how long a training is."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR


def one_cycle(
    optimizer: Optimizer, *, total_steps: int, rise: float, start_divisor: float, end_divisor: float
) -> LRScheduler:
    """Up to the optimiser's own learning rate and down again along cosines (Smith & Topin 2018, arXiv:1708.07120).

    Args:
        optimizer: its learning rate is the peak.
        total_steps: optimiser steps in the whole training.
        rise: share of the steps that go up, 0 to 1.
        start_divisor: the first learning rate is the peak divided by this.
        end_divisor: the last one is the first divided by this.
    """
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=total_steps,
        pct_start=rise,
        div_factor=start_divisor,
        final_div_factor=end_divisor,
    )
