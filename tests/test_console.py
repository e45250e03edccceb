import io
import itertools
import json
import logging
import os
import pty
import subprocess
import sys
import textwrap

import pytest
from rich.console import Console
from rich.table import Table

from facesegl import console as subject
from facesegl.console import duration, track


@pytest.fixture
def clock(monkeypatch):
    """A clock that is moved by hand: `clock[0] += 5`."""
    now = [0.0]
    monkeypatch.setattr(subject.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def elsewhere(monkeypatch):
    monkeypatch.setattr(subject, "console", lambda: Console(file=io.StringIO(), force_terminal=False))


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    screen = Console(file=io.StringIO(), force_terminal=True, width=80, _environ={"TERM": "xterm"})
    monkeypatch.setattr(subject, "console", lambda: screen)
    return screen.file


LEFT = {1: "1:58", 16: "1:28", 31: "0:58", 46: "0:28"}
LONG = [*(f"{number} of 60, {left} left" for number, left in LEFT.items()), "60 of 60 in 2:00"]


@pytest.mark.parametrize(
    ("count", "seconds", "how", "lines"),
    [
        (50, 0.01, {"total": 50}, []),
        (60, 2, {"total": 60, "every_s": 30}, LONG),
        (3, 6, {"total": None}, ["1 so far", "3 so far", "3 in 0:18"]),
    ],
    ids=["short work", "long work", "work of unknown length"],
)
def test_occasional_lines_show_what_is_done_and_the_time_left(elsewhere, clock, caplog, count, seconds, how, lines):
    caplog.set_level(logging.INFO, "facesegl")
    for _ in track(range(count), what="reading", **how):
        clock[0] += seconds
    assert caplog.messages == [f"reading: {line}" for line in lines]


@pytest.mark.usefixtures("elsewhere")
def test_items_are_yielded_lazily_and_in_order():
    tracked = track(itertools.count(3), total=9, what="counting")
    assert [next(tracked), next(tracked)] == [3, 4]


def test_a_terminal_gets_one_bar_and_the_items(terminal, caplog):
    caplog.set_level(logging.INFO, "facesegl")
    assert list(track("abc", total=3, what="reading [all]")) == ["a", "b", "c"]
    assert "reading [all]" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()
    assert caplog.messages == []


def test_an_error_restores_the_cursor(terminal):
    def work():
        for _ in track(range(3), total=3, what="reading"):
            raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        work()
    hidden, shown = terminal.getvalue().rfind("\x1b[?25l"), terminal.getvalue().rfind("\x1b[?25h")
    assert 0 <= hidden < shown, "the cursor is back"


def test_a_dumb_terminal_gets_lines(monkeypatch):
    dumb = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    monkeypatch.setattr(subject, "console", lambda: dumb)
    assert not subject.is_live()


@pytest.mark.parametrize(("seconds", "words"), [(0, "0:00"), (59.6, "1:00"), (190, "3:10"), (86_399, "23:59:59")])
def test_durations_read_like_a_clock(seconds, words):
    assert duration(seconds) == words


def test_on_a_real_terminal_prints_still_go_to_stdout(tmp_path):
    script = textwrap.dedent("""
        from facesegl.console import track
        for item in track("ab", total=2, what="reading"):
            print("item", item, flush=True)
    """)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)}
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=theirs, env=environment, check=True, timeout=60
    )
    os.close(theirs)
    screen = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.stdout.decode() == "item a\nitem b\n"
    assert "2/2" in screen
    assert "item" not in screen


def test_importing_it_does_not_import_rich():
    check = "import sys, facesegl.console; sys.exit('rich' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", check], env=environment, check=True, timeout=60)


HOSTILE = "a\x1b[2J\nerror: forged\u202e\x9b1m\x07\r.png"
ESCAPED = r"a\x1b[2J\nerror: forged\u202e\x9b1m\x07\r.png"


def test_a_name_in_results_can_neither_control_the_terminal_nor_add_a_line(capsys):
    subject.show(HOSTILE)
    subject.show(Table(title=HOSTILE, width=90))
    subject.show_json({HOSTILE: "Jörg"})
    out = capsys.readouterr().out
    assert out.splitlines()[0] == ESCAPED
    assert all(char.isprintable() or char == "\n" for char in out)
    assert json.loads(out[out.index("{") :]) == {HOSTILE: "Jörg"}
    assert "Jörg" in out
