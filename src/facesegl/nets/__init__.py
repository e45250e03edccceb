"""Nets from float images (B, 3, H, W) to logits (B, num_classes, H, W).

Plain torch modules: no Lightning, no config, no losses.
"""

from typing import TYPE_CHECKING

from facesegl._lazy import attach

if TYPE_CHECKING:
    from facesegl.nets.fcn import FCN as FCN
    from facesegl.nets.fcn import check_size as check_size
    from facesegl.nets.fcn import stride_of as stride_of
    from facesegl.nets.smp import SMP as SMP
    from facesegl.nets.smp import weights_follow as weights_follow
    from facesegl.nets.unet import UNet as UNet

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "FCN": "facesegl.nets.fcn",
        "SMP": "facesegl.nets.smp",
        "UNet": "facesegl.nets.unet",
        "check_size": "facesegl.nets.fcn",
        "stride_of": "facesegl.nets.fcn",
        "weights_follow": "facesegl.nets.smp",
    },
)
