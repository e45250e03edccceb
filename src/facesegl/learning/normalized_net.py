"""A net with the normalisation of its images, for training, prediction and export; also several. No Lightning."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from facesegl.labels.taxonomy import Taxonomy


class NormalizedNet(nn.Module):
    """Images from 0 to 255 in, logits out.

    Its `state_dict` has the net's weights only, as `net.*`: mean and std come from the card.

    Shape: (B, 3, H, W) uint8, or float 0 to 255 -> logits (B, classes, H, W) float.

    Args:
        net: maps normalised float images (B, 3, H, W) to logits (B, classes, H, W).
        card: a checked card; gives normalisation, taxonomy and image size.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, card: Mapping[str, Any]) -> None:
        super().__init__()
        self.net, self.card = _channels_last(net), dict(card)
        for name in ("mean", "std"):
            values = torch.tensor(card["normalisation"][name], dtype=torch.float32).view(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)
        self.taxonomy = Taxonomy.from_mapping(card["taxonomy"])
        self.image_size: int = card["image_size"]

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, classes, H, W) of images (B, 3, H, W)."""
        normalised = (image - self.mean) / self.std
        logits: Tensor = self.net(normalised.to(self.mean.dtype))  # trainer.precision=bf16-true
        return logits


class EnsembleNet(NormalizedNet):
    """Several nets, each with its own normalisation: images from 0 to 255 in, logits of each out.

    Shape: (B, 3, H, W) uint8, or float 0 to 255 -> logits (B, members, classes, H, W) float.

    Args:
        members: nets of the same classes and image size.
        card: the ensemble's card.
    """

    net: nn.ModuleList

    def __init__(self, members: Sequence[NormalizedNet], card: Mapping[str, Any]) -> None:
        super().__init__(nn.ModuleList(members), card)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, members, classes, H, W) of images (B, 3, H, W)."""
        return torch.stack([member(image) for member in self.net], dim=1)


def _channels_last(net: nn.Module) -> nn.Module:
    """The memory layout of the cache's images, in which convolutions on a CPU are faster."""
    for weights in net.parameters():
        if weights.dim() == 4:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last)
    return net
