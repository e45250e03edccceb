"""Lets segmentation_models_pytorch be imported with a CPU torch for which no torchvision is built.

It and timm name classes of torchvision as bases, as annotations and in tables. While they are imported, every name that
they ask for is an empty class. Encoders that are torchvision's own (resnet34, vgg16, densenet121, mobilenet_v2) cannot
be built so; all others run for real.
"""

import contextlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

from torch import nn

_MODULES = (
    *("torchvision", "torchvision.datasets", "torchvision.models", "torchvision.models.densenet"),
    *("torchvision.models.feature_extraction", "torchvision.models.resnet", "torchvision.models.vgg"),
    *("torchvision.ops", "torchvision.ops.misc", "torchvision.transforms", "torchvision.transforms.functional"),
)


class _Empty(ModuleType):
    """A module that has every public name, each an empty class."""

    __path__ = ()

    def __init__(self, name):
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None, is_package=True)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        found = type(name, (nn.Module,), {"__getattr__": nn.Module.__getattr__})
        setattr(self, name, found)
        return found


class _Interpolation:
    """Names that are keys of a table of timm's, and so must differ."""

    def __getattr__(self, name):
        return name


@contextlib.contextmanager
def torchvision_shim():
    """Stand in for torchvision while something is imported; afterwards it is as absent as before."""
    modules = {name: _Empty(name) for name in _MODULES}
    for name, module in modules.items():
        outer, _, inner = name.rpartition(".")
        if outer:
            setattr(modules[outer], inner, module)
    modules["torchvision.transforms.functional"].InterpolationMode = _Interpolation()
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            sys.modules.pop(name, None)
