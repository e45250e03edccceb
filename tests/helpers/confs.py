import functools

import pytest
from omegaconf import OmegaConf

from facesegl.config.compose import compose, conf_dir

CONF = conf_dir()
FILES = sorted(path.relative_to(CONF).as_posix() for path in CONF.rglob("*.yaml"))
ALL = [file for file in FILES if not file.startswith("hydra/")]
SHARED = {"data/base/faces", "data/base/source"}  # included by other files of the group
NEEDED = {  # what a choice of data leaves to the user
    "folder": ["data.source.images=photos", "data.source.masks=masks", "data/taxonomy=fasseg"],
    "cvat": ["data.source.root=export", "data/taxonomy=fasseg"],
    "label_studio": ["data.source.root=export", "data.source.images=photos", "data/taxonomy=fasseg"],
}
CHOICES = [
    (group, name)
    for group, _, name in (file.removesuffix(".yaml").rpartition("/") for file in ALL)
    if group and f"{group}/{name}" not in SHARED
]


PACKAGES = {"smp": ("torchvision", "segmentation_models_pytorch")}  # that optional models need


def skip_without_packages_of(model):
    for package in PACKAGES.get(model, ()):
        pytest.importorskip(package)


def options(group):
    return [name for of, name in CHOICES if of == group]


@functools.cache
def default():
    return OmegaConf.to_container(compose(), resolve=False)
