"""Fetch one archive: try again where that may help, go on where the server can, and stop at what cannot be right."""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from facesegl.console import duration
from facesegl.download import web
from facesegl.download.meter import Meter, megabytes, meter
from facesegl.download.part import Part
from facesegl.errors import MachineError

log = logging.getLogger(__name__)

_HEADWAY = 1 << 20  # a try that brought this much was no failure: the pauses start again from the shortest


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server.

    Attributes:
        timeout_s: without an answer, or a byte.
        pauses_s: before each further try.
        longest_s: that a server may ask to wait before a further try.
    """

    timeout_s: float = 30.0
    pauses_s: tuple[float, ...] = (1.0, 4.0, 16.0)
    longest_s: float = 60.0


USUAL = Patience()


def fetch(url: str, part: Part, *, most: int, patience: Patience, by_hand: str) -> None:
    """Fetch an archive, or what is missing of it.

    Args:
        url: where it lies.
        part: takes it, and may hold the beginning.
        most: bytes that it cannot be larger than.
        patience: with a server that does not answer.
        by_hand: what a person can do instead; the last part of a message.

    Raises:
        MachineError: it cannot be had, or not be written.
    """
    if part.is_whole:
        return
    log.info("fetching %s", url)
    started, pauses, reached = time.monotonic(), list(patience.pauses_s), part.size
    with meter("fetching FASSEG") as shown:
        while not part.is_whole:
            try:
                _try(url, part, most, patience.timeout_s, shown)
            except web.Refused as problem:
                raise MachineError(f"{url}: {problem}. {by_hand}") from problem
            except web.Hiccup as problem:
                if part.size >= reached + _HEADWAY:
                    pauses, reached = list(patience.pauses_s), part.size
                if end := _end(problem, pauses, patience):
                    raise MachineError(f"{url}: {problem}{end}. {_kept(part)}{by_hand}") from problem
                _wait(url, problem, max(problem.wait_s, pauses.pop(0)))
    log.info("fetched: %s in %s", megabytes(part.size), duration(time.monotonic() - started))


def _end(problem: web.Hiccup, pauses: list[float], patience: Patience) -> str:
    """Why there is no further try; empty if there is."""
    if problem.wait_s > patience.longest_s:
        return f", and asks to wait {problem.wait_s:.0f} s"
    return "" if pauses else f" (tried {len(patience.pauses_s) + 1} times)"


def _kept(part: Part) -> str:
    return f"{megabytes(part.size)} are kept, and the same command goes on with them. " if part.conditions() else ""


def _wait(url: str, problem: web.Hiccup, pause: float) -> None:
    log.info("%s: %s; trying again in %.3g s", url, problem, pause)
    time.sleep(pause)


def _try(url: str, part: Part, most: int, timeout_s: float, shown: Meter) -> None:
    with web.opened(url, part.conditions(), timeout_s) as response:
        if response.status == 200:
            part.begin(response)
        elif not part.goes_on_with(response):  # a 416, or another part than was asked for
            part.drop()
            raise web.Hiccup("the server cannot go on in the middle; starting over")
        _require_sane(part, part.total or 0, most)
        shown.begin(part.size, part.total)
        part.take(_measured(web.pieces(response, timeout_s), part, most, shown))
    if not part.size:
        raise web.Hiccup("the answer is empty")
    if part.total not in (None, part.size):
        raise web.Hiccup(f"it broke off after {megabytes(part.size)} of {megabytes(part.total or 0)}")
    part.finish()


def _measured(pieces: Iterable[bytes], part: Part, most: int, shown: Meter) -> Iterator[bytes]:
    came = part.size
    for piece in pieces:
        came += len(piece)
        _require_sane(part, came, most)
        yield piece
        shown.advance(len(piece))


def _require_sane(part: Part, size: int, most: int) -> None:
    if size > most:
        part.drop()
        raise web.Refused(f"what comes is larger than FASSEG can be ({megabytes(most)}); it is something else")
