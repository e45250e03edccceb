"""The search space: Hydra's sweep grammar as Optuna distributions, and their values as overrides."""

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from facesegl.tuning.space import overrides_of, read_space, to_check

SWEEPS = {
    "optimizer.lr=tag(log,interval(1e-4,1e-1))": FloatDistribution(1e-4, 1e-1, log=True),
    "optimizer.weight_decay=interval(0,1)": FloatDistribution(0.0, 1.0),
    "model.channels=int(interval(8,24))": IntDistribution(8, 24),
    "trainer.max_epochs=tag(log,int(interval(1,64)))": IntDistribution(1, 64, log=True),
    "data.batch_size=range(2,9,2)": IntDistribution(2, 8, step=2),  # as in Hydra, without the end
    "+trainer.accumulate_grad_batches=range(3,0,-1)": IntDistribution(1, 3),
    "model.depth=choice(3,4)": CategoricalDistribution(["3", "4"]),
    "trainer.gradient_clip_val=range(0.5,1.6,0.5)": CategoricalDistribution(["0.5", "1.0", "1.5"]),
    "loss=glob(ce*)": CategoricalDistribution(["ce", "ce_dice"]),
    "augment=none,face,none": CategoricalDistribution(["none", "face"]),
}


def test_each_sweep_of_hydra_is_a_distribution():
    space, problems = read_space(["data=synthetic", "seed=0,1", *SWEEPS, "seed=1"])  # the last of one key counts
    assert problems == []
    assert space == dict(zip((text.partition("=")[0] for text in SWEEPS), SWEEPS.values(), strict=True))
    assert "model.channels=8,24" in to_check(space)
    assert "optimizer.lr=0.0001,0.1" in to_check(space)
    assert "augment=none,face" in to_check(space)


def test_what_a_config_file_sweeps_is_searched_unless_it_is_typed():
    space, problems = read_space(["sweep=lr", "loss=ce,ce_dice"])
    assert ({*space}, problems) == ({"optimizer.lr", "loss"}, [])
    assert {*read_space(["sweep=lr", "optimizer.lr=1e-3", "loss=ce,ce_dice"])[0]} == {"loss"}


def test_values_are_overrides_with_four_digits_inside_their_interval():
    space = {"a": FloatDistribution(0, 0.99999), "b": IntDistribution(1, 9), "+c": CategoricalDistribution(["null"])}
    assert overrides_of(space, {"a": 0.012345678, "b": 3, "+c": "null"}) == ["a=0.01235", "b=3", "+c=null"]
    assert overrides_of(space, {"a": 0.99998, "b": 9, "+c": "null"})[0] == "a=0.99999"
