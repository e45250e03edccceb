import math

import pytest
import torch

from facesegl.learning import one_cycle


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
