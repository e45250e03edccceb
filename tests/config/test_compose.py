from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobRuntime

from facesegl.config.compose import compose, conf_dir, help_text, loosen, sweep
from facesegl.config.hydra_versions import version_base
from facesegl.errors import ConfigError


def problems(*overrides: str, **where) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        compose(overrides, **where)
    return list(caught.value.problems)


def test_groups_and_values_compose_as_hydra_does():
    config = compose(["model=fcn", "optimizer.lr=3e-3", "~callbacks.progress", "experiment=fast"])
    assert config.model._target_ == "small_parts.OpenNet"
    assert config.optimizer.lr == 3e-3
    assert config.trainer.max_epochs == 1
    assert list(config.callbacks) == ["early_stopping"]
    assert config.data.root == "data/faces"
    assert compose(["set=val"], config_name="evaluate").set == "val"


def test_every_wrong_override_is_reported_at_once():
    groups = ["model=unnet", "data/taxonomy=seven", "data/taxonmy=six"]
    others = ["paths.data=/a=b", "seed", "a =1", "~nothing", "+seed=3", "+experiment=fast", "seed=1,2", "model=null"]
    assert problems(*groups, *others) == [
        "model=unnet: no such model; did you mean unet? There are: fcn, unet",
        "data/taxonomy=seven: no such data/taxonomy; there are: six, two",
        "data/taxonmy=six: there is no group data/taxonmy; did you mean data/taxonomy?",
        "paths.data=/a=b: its value cannot be parsed, and no file or folder has that name; "
        """put it in quotes, as in 'paths.data="/a=b"'""",
        "seed: not an override; write it as key=value",
        "a =1: there is a blank before the =; write key=value without blanks",
        "seed=1,2: several values where one is expected; sweep with -m, or write a list as seed=[a,b]",
        "model=null: null is not a choice; take one of fcn, unet, or remove the group with ~model",
        "~nothing: Could not delete from config. 'nothing' does not exist.",
        "+seed=3: seed is already in the config; write it without the +",
        "+experiment=fast: experiment is already in the config; write it without the +",
    ]


def test_value_that_does_not_merge_is_reported_with_its_cause():
    assert compose(['paths.data="/a=b [1]"']).paths.data == "/a=b [1]"
    (problem,) = problems("model.channels={a: 1}")
    assert problem.startswith("model.channels={a: 1}: ")
    assert "++" not in problem


def test_a_custom_folder_adds_choices(tmp_path: Path):
    folder = tmp_path / "my conf, with = signs"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "mine.yaml").write_text("{_target_: small_parts.OpenNet, channels: [1]}")
    assert compose(["model=mine"], config_dirs=[folder]).model.channels == [1]
    assert "There are: fcn, mine, unet" in problems("model=mime", config_dirs=[folder])[0]
    assert ["model=mine"] in sweep(["model=glob(m*)"], config_dirs=[folder])


def test_a_custom_file_with_the_name_of_one_of_facesegl_is_refused(tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "unet.yaml").write_text("{_target_: small_parts.OpenNet, channels: [1]}")
    (problem,) = problems("model=unet", config_dirs=[tmp_path])
    assert problem.startswith(f"{tmp_path / 'model' / 'unet.yaml'}: facesegl has a file of this name")


def test_missing_custom_folder_and_broken_yaml_in_one_are_reported_in_one_line(tmp_path: Path):
    assert problems(config_dirs=[tmp_path / "none"]) == [f"--config-dir {tmp_path / 'none'}: there is no such folder"]
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "bad.yaml").write_text("a: [1")
    (problem,) = problems("model=bad", config_dirs=[tmp_path])
    assert problem.startswith("model=bad: ")
    assert "\n" not in problem


def test_hydra_that_runs_already_is_restored(tmp_path: Path):
    (tmp_path / "own.yaml").write_text("mine: 1")
    with initialize_config_dir(str(tmp_path), job_name="notebook", **version_base()):
        running = GlobalHydra.instance().hydra
        assert compose(["seed=3"]).seed == 3
        problems("model=unnet")
        assert GlobalHydra.instance().hydra is running
        assert JobRuntime.instance().get("name") == "notebook"
        assert hydra_compose("own").mine == 1


def test_loosened_overrides_compose_with_hydra_alone(small_conf: Path):
    loose = loosen(["trainer.max_steps=5", "model=fcn", "+model.kernel=3", "~callbacks.progress", "hydra.verbose=true"])
    assert loose[0] == "++trainer.max_steps=5"
    assert loose[1:] == ["model=fcn", "+model.kernel=3", "~callbacks.progress", "hydra.verbose=true"]
    with initialize_config_dir(str(small_conf), **version_base()):
        assert hydra_compose("train", overrides=loose).trainer.max_steps == 5


def test_a_key_that_a_file_sweeps_is_not_loosened():
    # Hydra would take `seed` and `++seed` for two keys, and sweep both
    assert loosen(["+sweep=seeds", "seed=8,9", "a=1"]) == ["+sweep=seeds", "seed=8,9", "++a=1"]


def test_help_fills_hydras_template_with_groups_and_values(tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("{_target_: small_parts.OpenNet, channels: [1]}")
    template = r"hydra.help.template='${hydra.help.app_name}: $APP_CONFIG_GROUPS\$CONFIG'"
    overrides = [template, "hydra.help.app_name=a b", "model=mine", "trainer.max_steps=5"]
    shown = help_text("train", overrides, [tmp_path])
    assert shown.startswith("a b: data: faces\ndata/taxonomy: six, two\nexperiment: fast\nmodel: fcn, mine, unet\n")
    assert "hydra" not in shown
    assert "  root: ${paths.data}/faces\n" in shown
    assert "  max_steps: 5\n" in shown
    assert "  root: data/faces\n" in help_text("train", overrides, [tmp_path], resolve=True)
    with pytest.raises(ConfigError, match="did you mean unet"):
        help_text("train", ["model=unnet"], [])


@pytest.mark.parametrize(
    ("overrides", "jobs"),
    [
        (
            ["a=1,2,3", "b=choice(x,'y z')", "c=7"],  # every value once, with the first of the others
            [*([f"a={a}", "b=x", "c=7"] for a in (1, 2, 3)), ["a=1", r"b=y\ z", "c=7"]],
        ),
        (["seed=range(1,4)"], [["seed=1"], ["seed=2"], ["seed=3"]]),
        (["model=glob(*)"], [["model=fcn"], ["model=unet"]]),
        (["optimizer.lr=interval(0.1, 0.2)"], [["optimizer.lr=0.1"], ["optimizer.lr=0.2"]]),
        (["+sweep=seeds"], [[f"seed={seed}", "+sweep=seeds"] for seed in (1, 2, 3)]),
        (["+sweep=seeds", "seed=9"], [["+sweep=seeds", "seed=9"]]),  # the command line wins over the file
        (["seed=1,2", "a b"], [["seed=1", "a b"], ["seed=2", "a b"]]),  # which cannot be parsed
    ],
)
def test_sweep_has_every_value_of_lists_ranges_globs_intervals_and_files(overrides: list[str], jobs: list[list[str]]):
    assert sweep(overrides) == jobs


def test_conf_is_next_to_the_source_or_in_the_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    import facesegl

    package = Path(facesegl.__file__).parent
    assert conf_dir() in (package / "conf", package.parents[1] / "conf")
    assert conf_dir().is_absolute()


@pytest.mark.parametrize("name", ["a, b", "fötös", "x(y)", "it's", "a=b", "[1", "{split}/x y"])
def test_a_value_that_names_an_existing_folder_is_that_path(name, tmp_path):
    (tmp_path / name).mkdir(parents=True)
    assert compose([f"data.root={name}"]).data.root == name
    assert compose([f"data.root={tmp_path}/{name}"]).data.root == f"{tmp_path}/{name}"
    assert problems(f"data.root={name}".replace("{split}", "ä") + "?ä")


def test_several_values_stay_several_unless_a_folder_has_that_name(tmp_path):
    for name in ("a", "b", "c,d"):
        (tmp_path / name).mkdir()
    assert sweep(["data.root=a,b", "seed=1,2"]) == [
        ["data.root=a", "seed=1"],
        ["data.root=b", "seed=1"],
        ["data.root=a", "seed=2"],
    ]
    assert sweep(["data.root=c,d"]) == [["data.root=c,d"]]
    assert problems("data.root=a,b")


def test_an_unknown_launcher_without_plugins_says_what_to_install(monkeypatch):
    loader = "hydra._internal.config_loader_impl.ConfigLoaderImpl.get_group_options"
    monkeypatch.setattr(loader, lambda *_args, **_kwargs: ["basic"])
    with pytest.raises(ConfigError, match=r"pip install 'facesegl\[launchers\]' adds joblib, submitit_local"):
        compose(["hydra/launcher=submitit_slurm"])


def test_a_wrong_key_of_a_launcher_is_the_only_one_reported():
    keys = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu", "hydra.launcher.partitio=gpu"]
    with pytest.raises(ConfigError, match=r"^hydra.launcher.partitio=gpu: Key 'partitio' not in 'SlurmQueueConf'$"):
        compose(keys)
