from functools import partial

import hydra
import pytest
import torch
from omegaconf import OmegaConf

from facesegl.config.compose import compose
from facesegl.config.instantiate import build
from facesegl.errors import ConfigError, DataError


def test_node_becomes_its_object_with_builtin_values():
    net = build(compose().model, num_classes=2)
    assert (net.channels, net.act, net.num_classes) == ([8, 16], "relu", 2)
    assert type(net.channels) is list


def test_given_objects_reach_the_constructor_unchanged():
    marker = {"a": object()}
    faces = build(compose().data, augment=marker)
    assert faces.augment is marker
    assert type(faces.taxonomy) is dict


def test_partial_node_becomes_a_function_with_what_is_given():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = build(compose().optimizer, lr=0.5)([weight])
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.defaults["lr"] == 0.5
    assert [*optimizer.defaults["betas"]] == [0.9, 0.999]


def test_nodes_by_name_build_without_their_nulls_and_nothing_builds_nothing():
    built = build({"relu": {"_target_": "torch.nn.ReLU"}, "off": None})
    assert list(built) == ["relu"]
    assert isinstance(built["relu"], torch.nn.ReLU)
    assert build(None) is None
    assert build({}) is None


def test_error_of_a_constructor_names_the_key():
    with pytest.raises(ConfigError, match=r"^data: small_parts.Faces cannot be built: image_size is odd$"):
        build(compose(["data.image_size=33"]).data)
    with pytest.raises(ConfigError, match=r"^trainer: pytorch_lightning.Trainer cannot be built: .*"):
        build(compose(["trainer.fast_dev_run=-1"]).trainer)


def test_facesegl_error_of_a_constructor_is_raised_unchanged():
    with pytest.raises(DataError, match="no pixels"):
        build(compose(["data.image_size=0"]).data)
    inner = {"_target_": "small_parts.Faces", "root": "", "image_size": 0, "taxonomy": {}}
    with pytest.raises(DataError, match="no pixels"):
        build({"_target_": "small_parts.Holder", "net": inner})
    with pytest.raises(ConfigError, match="image_size is odd"):
        build({"_target_": "small_parts.Holder", "net": inner | {"image_size": 1}})


def test_a_bug_in_a_constructor_keeps_its_traceback():
    with pytest.raises(RuntimeError, match="a bug"):
        build({"_target_": "small_parts.broken"})


NESTED = {
    "_target_": "small_parts.holder",
    "net": {
        "_target_": "torch.nn.Sequential",
        "_args_": [{"_target_": "torch.nn.ReLU"}, {"_target_": "torch.nn.GELU"}],
    },
}


def test_nodes_inside_nodes_are_built_and_a_function_may_return_an_object_of_any_class():
    (net,) = build(NESTED)
    assert [type(part) for part in net] == [torch.nn.ReLU, torch.nn.GELU]


def test_hydra_may_build_only_the_targets_of_the_node(monkeypatch):
    allowed = []

    def instantiate(node, _execution_whitelist_, **given):
        allowed.extend(_execution_whitelist_)
        return partial(dict)

    monkeypatch.setattr(hydra, "__version__", "1.4.0")
    monkeypatch.setattr("hydra.utils.instantiate", instantiate)
    build(OmegaConf.create({"relu": "torch.nn.ReLU", "node": NESTED | {"spare": {"_target_": "${relu}"}}}).node)
    written = ["small_parts.holder", "torch.nn.Sequential", "torch.nn.ReLU", "torch.nn.GELU", "torch.nn.ReLU"]
    assert allowed[:5] == written
    modules = ["container.Sequential", "activation.ReLU", "activation.GELU", "activation.ReLU"]
    assert allowed[5:] == [f"torch.nn.modules.{name}" for name in modules]


def test_a_node_that_brings_its_own_whitelist_is_refused():
    node = {"_target_": "small_parts.Holder", "net": {"_target_": "torch.nn.ReLU"}}
    with pytest.raises(ConfigError, match=r"_execution_whitelist_"):
        build(node | {"_execution_whitelist_": ["os.system"]})
