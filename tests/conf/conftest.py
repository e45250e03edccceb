import functools

from omegaconf import OmegaConf

from facesegl.config import compose, conf_dir

CONF = conf_dir()
ALL = [
    file
    for file in sorted(path.relative_to(CONF).as_posix() for path in CONF.rglob("*.yaml"))
    if not file.startswith("hydra/")
]
SHARED = {"data/base/faces"}  # what other files of its group are made from
CHOICES = [
    (group, name)
    for group, _, name in (file.removesuffix(".yaml").rpartition("/") for file in ALL)
    if group and f"{group}/{name}" not in SHARED
]


def options(group):
    return [name for of, name in CHOICES if of == group]


@functools.cache
def default():
    return OmegaConf.to_container(compose(), resolve=False)
