import pytest

from checks.test_findings import facts, photo
from facesegl.checks.diagnosis import diagnose
from facesegl.checks.facts import Facts, Refused
from facesegl.labels import Taxonomy
from facesegl.reporting.checkup_table import check_table
from helpers.calling import printed
from helpers.faces import FASSEG6


def shown(facts, width=100):
    return printed(check_table([diagnose(facts)]), width)


def test_splits_classes_findings_and_verdict_are_shown():
    text = shown(facts(photo("test/1", pixels="train/2")))
    lines = text.splitlines()
    rows = {line.split()[0]: " ".join(line.split()) for line in lines if line.strip()}
    assert rows["train"] == "train 4 4 4 512 370"
    assert rows["eyes"] == "eyes 2.00 2.00 4 1 0.00 0.00"
    assert "warning  1 test photo also in train, pixel for pixel." in text
    assert "-> Report test_clean" in text
    assert lines[-2].strip() == "faces: OK to train (1 warning)"


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("splits", [("train", "test"), ("train", "val", "test")])
def test_forty_classes_of_long_names_fit_the_screen(width, splits):
    many = Taxonomy(
        names=tuple(f"a class of the very long name {n}" for n in range(40)),
        colours=tuple((n, 2 * n, 255 - n) for n in range(40)),
    )
    photos = [photo(f"{split}/{n}", classes=(5,) * 40) for split in splits for n in range(3)]
    lines = shown(Facts("faces", many, photos), width).splitlines()
    assert max(map(len, lines)) <= width
    assert sum(line.startswith("a class") for line in lines) == 40


def test_of_thousands_of_cases_the_first_few_are_named():
    broken = [Refused(photo(f"train/{n}").sample, False, (f"{n}.png: {'empty ' * 9}{n}",)) for n in range(10, 3010)]
    copies = [photo(f"test/{n}", pixels="train/1") for n in range(2000)]
    text = shown(facts(*copies, refused=broken))
    assert "and 2992 more" in text
    assert "and 1992 more" in text
    assert len(text.splitlines()) < 60


def test_names_are_never_markup_and_control_characters_do_not_reach_the_terminal():
    text = shown(facts(problems=["[bold]x[/bold].png: [red]", "a\x1b[2J\x1b]0;title\x07\nb.png: empty"]))
    assert "[bold]x[/bold].png: [red]" in text
    assert not {"\x1b", "\x07"} & {*text}


def test_without_a_readable_photo_there_is_no_table_of_photos():
    text = shown(Facts("faces", FASSEG6, problems=["data: no such folder"]))
    assert "data: no such folder" in text
    assert "photos" not in text
