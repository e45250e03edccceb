"""The names of curves in TensorBoard, which sorts them: losses and mIoU come first, then each class, then the rest."""

_SECTIONS = {
    "train/loss": "loss/train",
    "val/loss": "loss/val",
    "val/miou": "miou/val",
    "val/iou/": "per class/",
    "epoch": "run/epoch",
    "lr-": "run/lr-",
    "final/": "score/",
}
"""The start of a name and of its tag."""


def to_tag(name: str) -> str:
    """The tag of a curve.

    Example:
        >>> to_tag("val/miou at 256x256"), to_tag("val/iou/left eye"), to_tag("other")
        ('miou/val at 256x256', 'per class/left eye', 'other')
    """
    return _renamed(name, _SECTIONS)


def to_name(tag: str) -> str:
    """The name of the curve with a tag, also of a run whose tags are names, as earlier versions wrote them.

    Example:
        >>> to_name("miou/val at 256x256"), to_name("val/miou at 256x256")
        ('val/miou at 256x256', 'val/miou at 256x256')
    """
    return _renamed(tag, {tag: name for name, tag in _SECTIONS.items()})


def _renamed(text: str, sections: dict[str, str]) -> str:
    start = next((start for start in sections if text.startswith(start)), "")
    return sections[start] + text.removeprefix(start) if start else text
