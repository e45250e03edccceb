"""Nets from float images (B, 3, H, W) to logits (B, num_classes, H, W).

Plain torch modules: no Lightning, no config, no losses.
"""

from facesegl.nets.fcn import FCN, check_size, stride_of
from facesegl.nets.smp import SMP, weights_follow
from facesegl.nets.unet import UNet

__all__ = ["FCN", "SMP", "UNet", "check_size", "stride_of", "weights_follow"]
