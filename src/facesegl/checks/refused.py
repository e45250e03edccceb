"""The files: what does not pair up, cannot be read, does not fit, or is not what it should be."""

from collections.abc import Iterator, Sequence

from facesegl.checks.facts import Facts, PhotoFacts, Refused
from facesegl.checks.finding import Case, Finding, Severity
from facesegl.text import number


def check_files(facts: Facts) -> Iterator[Finding]:
    """What keeps photos and masks from being learnt from."""
    yield from _listing(facts)
    yield from _refused(facts)
    yield from _nothing_to_learn(facts)
    yield from _pictures_of_masks(facts)
    yield from _sizes(facts)
    yield from _unlabelled(facts)


def _listing(facts: Facts) -> Iterator[Finding]:
    if facts.problems:
        yield Finding(
            "error",
            "listing",
            f"{number(len(facts.problems), 'thing')} wrong with how the files lie: training refuses to start",
            "Do what each line says; what could be listed all the same was looked at.",
            [Case(problem) for problem in facts.problems],
        )


def _refused(facts: Facts) -> Iterator[Finding]:
    broken = [refused for refused in facts.refused if not refused.readable]
    foreign = [refused for refused in facts.refused if refused.readable]
    if broken:
        yield Finding(
            "error",
            "unreadable",
            f"{number(len(broken), 'file')} that cannot be read: training refuses to start",
            "Copy each again, or take the photo and its mask away.",
            _lines(broken),
        )
    if foreign:
        yield Finding(
            "error",
            "foreign",
            f"{number(len(foreign), 'mask')} in other colours or values than the classes': training refuses to start",
            "Give the masks' own colours or values as data.taxonomy=FILE.yaml, or put the right files there.",
            _lines(foreign),
        )


def _lines(refused: Sequence[Refused]) -> list[Case]:
    return [Case(line, (one.sample.id,)) for one in refused for line in one.why]


def _nothing_to_learn(facts: Facts) -> Iterator[Finding]:
    if not facts.fitting("train") and not facts.problems:
        yield Finding(
            "error",
            "empty",
            "no training photo with a mask that can be used",
            "Training needs labelled photos in the split train.",
        )


def _pictures_of_masks(facts: Facts) -> Iterator[Finding]:
    wrong = [photo for photo in facts.photos if photo.shows_mask]
    if wrong:
        yield Finding(
            "error",
            "photo_is_mask",
            f"{number(len(wrong), 'photo')} showing the mask itself: the answer would be learnt from the answer",
            "Put the photos in their place; were photos and masks taken from one folder?",
            [Case(f"{photo.sample.id} ({photo.sample.photo.name})", (photo.sample.id,)) for photo in wrong],
        )


_REMEDY = "Export them at the photo's size. Stretching would make wrong masks that look right."
_TURNED = " Those with height and width traded were drawn on a photo that its EXIF data turn: turn these masks."


def _sizes(facts: Facts) -> Iterator[Finding]:
    wrong = [photo for photo in facts.photos if not photo.fits]
    if not wrong:
        return
    train = facts.of("train")
    severity: Severity = "error" if facts.strict or 2 * len(facts.fitting("train")) < len(train) else "warning"
    does = "data.strict=true refuses" if facts.strict else "training leaves out and names"
    yield Finding(
        severity,
        "size",
        f"{number(len(wrong), 'mask')} of another size than the photo, which {does}",
        _REMEDY + (_TURNED if any(map(_ignores_its_turn, wrong)) else ""),
        [_mismatch(photo) for photo in wrong],
    )


def _mismatch(photo: PhotoFacts) -> Case:
    own, masks = (f"{width}x{height}" for height, width in (photo.size, photo.mask_size))
    turned = ", which its EXIF data turn and the mask does not follow" if _ignores_its_turn(photo) else ""
    return Case(f"{photo.sample.id}: the mask is {masks}, its photo {own}{turned}", (photo.sample.id,))


def _ignores_its_turn(photo: PhotoFacts) -> bool:
    """Whether the mask lies on its side beside a photo that its EXIF data turn."""
    return photo.turn != 1 and photo.mask_size == photo.size[::-1]


def _unlabelled(facts: Facts) -> Iterator[Finding]:
    told = {problem.partition(": ")[0] for problem in facts.problems}
    unlabelled = [path for path in facts.unlabelled if str(path) not in told]
    if unlabelled:
        yield Finding(
            "note",
            "unlabelled",
            f"{number(len(unlabelled), 'photo')} without a mask, left out",
            "Nothing, if that is meant; otherwise add their masks.",
            [Case(path.name) for path in unlabelled],
        )
