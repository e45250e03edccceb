import re

import pytest
from omegaconf import OmegaConf

from facesegl.config.compose import compose
from facesegl.config.identity import identity, to_plain
from facesegl.errors import ConfigError


def of(*overrides: str, data_key: str = "d") -> str:
    return identity(compose(overrides), data_key)


def test_identity_is_twelve_hex_digits_that_depend_on_the_data():
    assert re.fullmatch("[0-9a-f]{12}", of())
    assert of(data_key="e") != of()


def test_order_of_overrides_and_keys_does_not_matter_and_the_config_is_not_changed():
    assert of("seed=3", "optimizer.lr=1e-3") == of("optimizer.lr=1e-3", "seed=3")
    config = compose()
    reordered = OmegaConf.create(dict(reversed(OmegaConf.to_container(config).items())))
    assert identity(reordered, "d") == identity(config, "d") == of()
    assert config == compose()
    assert config.paths.data == "data"


@pytest.mark.parametrize(
    "override",
    [
        *("resume=auto", "paths.data=/elsewhere", "paths.runs=/r", "trust=[mine]", "+logger.a=1"),
        *("~callbacks.progress", "+trainer.max_time=00:01:00:00"),
    ],
)
def test_paths_loggers_the_progress_bar_and_the_time_limit_do_not_count(override: str):
    assert of(override) == of()


def test_the_batch_of_all_ranks_counts_and_not_their_number():
    two = compose(["+trainer.strategy=ddp", "+trainer.devices=2", "+trainer.num_nodes=1", "data.batch_size=2"])
    assert identity(two, "d", ranks=2) == of("+trainer.devices=1", "data.batch_size=4") != identity(two, "d")


@pytest.mark.parametrize("override", ["seed=1", "optimizer.lr=3", "model=fcn", "~callbacks.early_stopping", "init=x"])
def test_what_changes_the_training_is_another_run(override: str):
    assert of(override) != of()


def test_synthetic_faces_count_only_if_they_are_mixed_in_and_initial_weights_by_their_content():
    config = compose(["init=x"])
    nothing, half = identity(config, "d"), identity(config, "d", mixed=[0.5, "k"])
    assert len({nothing, half, *(identity(config, "d", mixed=mixed) for mixed in ([0.4, "k"], [0.5, "l"]))}) == 4
    assert of("+data.synthetic_share=auto", "+data.synthetic_faces=400") == of()
    assert identity(config, "d", init="w") == identity(compose(["init=y"]), "d", init="w") != nothing
    assert identity(config, "d", init="v") != identity(config, "d", init="w")


def test_data_that_are_trained_on_knowingly_are_the_same_data():
    assert of("+data.force=true") == of("+data.force=false") == of()  # older configs did not have this key


def test_the_choice_of_photos_counts_only_where_there_is_one():
    assert of("+data.photos=null", "+data.photos_seed=1") == of()  # older configs did not have these keys
    chosen = {of(f"+data.photos={photos}", f"+data.photos_seed={seed}") for photos in (1, 2) for seed in (0, 1)}
    assert len(chosen | {of()}) == 5


@pytest.mark.parametrize(("key", "old", "new"), [("without", "[]", "[pose]"), ("image_name", "null", "y")])
def test_a_key_that_older_configs_lack_counts_only_at_another_value(key, old, new):
    older = of("+data.source.train=2")
    assert of("+data.source.train=2", f"+data.source.{key}={old}") == older
    assert of("+data.source.train=2", f"+data.source.{key}={new}") != older


def test_value_from_the_environment_counts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SOME_SEED", "1")
    first = of("seed=${oc.env:SOME_SEED}")
    monkeypatch.setenv("SOME_SEED", "2")
    assert of("seed=${oc.env:SOME_SEED}") != first


def test_plain_config_is_builtin_and_resolved_or_names_what_does_not_resolve():
    plain = to_plain(compose())
    assert plain["data"]["root"] == "data/faces"
    assert type(plain["optimizer"]["betas"]) is list
    with pytest.raises(ConfigError, match=r"^a\.b: "):
        to_plain(OmegaConf.create({"a": {"b": "${nowhere}"}}))
