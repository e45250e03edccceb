import math
from functools import partial

import pytest
import torch
from torch.optim import lr_scheduler

from facesegl.errors import ConfigError
from facesegl.learning import one_cycle
from facesegl.learning.module import bind_schedule


def rates(steps=100, lr=0.02, rise=0.3, start_divisor=25.0, end_divisor=1e4):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    schedule = one_cycle(optimizer, total_steps=steps, rise=rise, start_divisor=start_divisor, end_divisor=end_divisor)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(found) < steps:
            schedule.step()
    return found


def test_the_peak_is_the_optimizers_learning_rate_and_start_and_end_are_shares_of_it():
    found = rates()
    assert max(found) == pytest.approx(0.02)
    assert found.index(max(found)) == 29  # step 30 of 100, counted from 0
    found = rates(start_divisor=10.0, end_divisor=100.0)
    assert found[0] == pytest.approx(0.02 / 10)
    assert found[-1] == pytest.approx(0.02 / 10 / 100)


def test_it_goes_up_and_down_along_cosines():
    found = rates(steps=101, rise=0.5)
    top = int(0.5 * 101) - 0.5  # torch counts the peak's place as rise * steps - 1
    for step in (10, 25, 40):
        share = (1 + math.cos(math.pi * (1 + step / top))) / 2
        assert found[step] == pytest.approx(0.02 / 25 + (0.02 - 0.02 / 25) * share, rel=1e-3)
    assert found[:50] == sorted(found[:50])
    assert found[50:] == sorted(found[50:], reverse=True)


def test_each_group_of_weights_has_its_own_peak_and_the_state_loads_without_code(tmp_path):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.1, 0.001)]
    optimizer = torch.optim.AdamW(groups, lr=1.0)
    schedule = one_cycle(optimizer, total_steps=10, rise=0.3, start_divisor=25.0, end_divisor=1e4)
    torch.save([optimizer.state_dict(), schedule.state_dict()], tmp_path / "state.pt")
    torch.load(tmp_path / "state.pt", weights_only=True)
    seen = []
    for _ in range(9):
        optimizer.step()
        schedule.step()
        seen.append([group["lr"] for group in optimizer.param_groups])
    assert [max(rates) for rates in zip(*seen, strict=True)] == pytest.approx([0.1, 0.001])


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_trainings_have_rates_too(steps):
    found = rates(steps=steps)
    assert len(found) == steps
    assert all(0 < rate <= 0.02 for rate in found)


def bind(schedule, **given):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    built, interval = bind_schedule(partial(schedule, **given), optimizer, 240)
    optimizer.step()
    return built, interval


@pytest.mark.parametrize(
    ("name", "given", "length"),
    [
        ("CosineAnnealingLR", {}, "T_max"),
        ("PolynomialLR", {"power": 0.9}, "total_iters"),
        ("LinearLR", {"end_factor": 0.1}, "total_iters"),
        ("OneCycleLR", {"max_lr": 0.1}, "total_steps"),
        ("OneCycleLR", {"max_lr": 0.1, "total_steps": None}, "total_steps"),
    ],
)
def test_a_length_that_is_not_given_is_that_of_the_training_in_steps(name, given, length):
    built, interval = bind(getattr(lr_scheduler, name), **given)
    assert (getattr(built, length), interval) == (240, "step")


@pytest.mark.parametrize(
    ("name", "given", "interval"),
    [
        ("CosineAnnealingLR", {"T_max": 20}, "epoch"),
        ("LinearLR", {"total_iters": 5}, "epoch"),
        ("StepLR", {"step_size": 30}, "epoch"),
        ("MultiStepLR", {"milestones": [100, 150]}, "epoch"),
        ("ExponentialLR", {"gamma": 0.9}, "epoch"),
        ("LambdaLR", {"lr_lambda": math.exp}, "epoch"),
        ("CosineAnnealingWarmRestarts", {"T_0": 10}, "epoch"),
        ("ReduceLROnPlateau", {}, "epoch"),
        ("OneCycleLR", {"max_lr": 0.1, "total_steps": 300}, "step"),
        ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1}, "step"),
    ],
)
def test_other_schedules_get_what_is_given_and_count_what_torch_documents(name, given, interval):
    built, counted = bind(getattr(lr_scheduler, name), **given)
    assert counted == interval
    for key in {"T_max", "total_iters", "total_steps"} & given.keys():
        assert getattr(built, key) == given[key]


def test_schedules_in_a_list_are_built_too():
    warmup = partial(lr_scheduler.LinearLR, start_factor=0.1, total_iters=2)
    halving = partial(lr_scheduler.ExponentialLR, gamma=0.5)
    built, interval = bind(lr_scheduler.SequentialLR, schedulers=[warmup, halving], milestones=[2])
    rates = []
    for _ in range(4):
        rates += built.get_last_lr()
        built.step()
    assert interval == "epoch"
    assert rates == pytest.approx([0.01, 0.055, 0.1, 0.05])
    chained, _ = bind(lr_scheduler.ChainedScheduler, schedulers=[warmup])
    assert chained.get_last_lr() == pytest.approx([0.01])


def test_a_custom_function_gets_the_number_of_steps():
    def schedule(opt, total_steps):
        return lr_scheduler.LinearLR(opt, total_iters=total_steps)

    def open_schedule(optimizer, **given):
        return lr_scheduler.LinearLR(optimizer, total_iters=given["total_steps"])

    for function in (schedule, open_schedule):
        built, interval = bind(function)
        assert (built.total_iters, interval) == (240, "step")


def test_a_loss_that_should_rise_is_refused():
    with pytest.raises(ConfigError, match="mode=max: it watches a loss"):
        bind(lr_scheduler.ReduceLROnPlateau, mode="max")
