"""One address on the web, opened carefully: where it may lead, what may pass by itself, how slow is too slow."""

import contextlib
import email.utils
import http.client
import ipaddress
import re
import ssl
import time
import urllib.request
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import NoReturn
from urllib.error import URLError
from urllib.parse import SplitResult, urljoin, urlsplit

from facesegl.errors import ConfigError

HOSTS = ("github.com", "codeload.github.com")
"""Where a redirect may lead, beside the host of the address that was asked for."""

_MOST_REDIRECTS = 5
_REDIRECTS = {301, 302, 303, 307, 308}
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_LEAST_RATE = 1000  # bytes a second; what trickles more slowly would take days
_PIECE = 1 << 18


class Refused(Exception):  # noqa: N818 - never leaves the room
    """No archive can be had there, and trying again would not help."""


class Hiccup(Exception):  # noqa: N818 - never leaves the room
    """It went wrong, and may go well next time.

    Attributes:
        wait_s: how long the server asks to wait.
    """

    def __init__(self, what: str, wait_s: float = 0.0) -> None:
        super().__init__(what)
        self.wait_s = wait_s


def require_fit(url: str) -> None:
    """Refuse an address that is never opened.

    Raises:
        ConfigError: it is neither https nor a server on this machine.
    """
    if problem := _problem(url, url):
        raise ConfigError(f"{url}: {problem}; expected an https address (http only on this machine itself).")


@contextlib.contextmanager
def opened(url: str, headers: Mapping[str, str], timeout_s: float) -> Iterator[http.client.HTTPResponse]:
    """Open an address, and follow where it leads within bounds.

    Raises:
        Refused: the answer is no, or leads where none may go.
        Hiccup: nobody answers, or the answer is one that passes.
    """
    at = url
    for _ in range(_MOST_REDIRECTS + 1):
        with troubles(timeout_s):
            response = _opener().open(urllib.request.Request(at, headers=dict(headers)), timeout=timeout_s)
        with contextlib.closing(response):
            if response.status not in _REDIRECTS:
                _require_good(response)
                yield response
                return
            at = _next(at, response.headers.get("Location", ""), url)
    raise Refused(f"it was redirected more than {_MOST_REDIRECTS} times")


def pieces(response: http.client.HTTPResponse, timeout_s: float) -> Iterator[bytes]:
    """What comes, as it comes.

    Raises:
        Hiccup: it breaks off, nothing comes for `timeout_s`, or next to nothing.
    """
    since, came = time.monotonic(), 0
    while True:
        with troubles(timeout_s):
            piece = response.read1(_PIECE)
        if not piece:
            return
        yield piece
        came += len(piece)
        if (now := time.monotonic()) - since > timeout_s:
            if came < _LEAST_RATE * (now - since):
                raise Hiccup(f"less than {_LEAST_RATE // 1000} kB/s came for {timeout_s:g} s")
            since, came = now, 0


@contextlib.contextmanager
def troubles(timeout_s: float) -> Iterator[None]:
    """Tell what passes from what does not.

    Raises:
        Refused, Hiccup: in place of what sockets, TLS and HTTP raise.
    """
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        _tell(error.reason if isinstance(error, URLError) else error, timeout_s)


def _tell(error: BaseException | str, timeout_s: float) -> NoReturn:
    match error:
        case ssl.SSLCertVerificationError():
            remedy = "behind a company's proxy, name its certificates in SSL_CERT_FILE"
            raise Refused(f"its certificate is not trusted ({error.verify_message}); {remedy}") from error
        case http.client.InvalidURL():
            raise Refused(f"the address cannot be read ({error})") from error
        case TimeoutError():
            raise Hiccup(f"nothing came for {timeout_s:g} s") from error
        case http.client.IncompleteRead():
            raise Hiccup("it broke off") from error
        case OSError(strerror=str(words)):
            raise Hiccup(words) from error
        case _:
            raise Hiccup(repr(str(error) or type(error).__name__))


def _opener() -> urllib.request.OpenerDirector:
    """Only HTTP and HTTPS, with the environment's proxies; no files, no FTP, no cookies, no redirects of its own."""
    opener = urllib.request.OpenerDirector()
    opener.addheaders = [("User-Agent", "facesegl")]
    for kind in ("ProxyHandler", "HTTPHandler", "HTTPSHandler", "UnknownHandler"):
        opener.add_handler(getattr(urllib.request, kind)())
    return opener


def _require_good(response: http.client.HTTPResponse) -> None:
    status, kind = response.status, response.headers.get_content_type()
    if status in _PASSING:
        raise Hiccup(f"the server answers {_named(status)}", _asked_wait(response.headers.get("Retry-After", "")))
    if status not in (200, 206, 416):
        raise Refused(f"the server answers {_named(status)}")
    if status != 416 and kind == "text/html":
        raise Refused("a web page came instead of an archive; does this network ask for a login in a browser first?")


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"  # never the server's own words: they go to a terminal
    except ValueError:
        return str(status)


def _asked_wait(value: str) -> float:
    """Seconds from a Retry-After, which holds seconds or a date; 0 for anything else."""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def _next(at: str, location: str, start: str) -> str:
    try:
        url = urljoin(at, location)
    except ValueError:
        url = location
    problem = _problem(url, start) if location else "it says not where to"
    if problem:
        raise Refused(f"it was redirected to {url!r}: {problem}")
    return url


def _problem(url: str, start: str) -> str:
    """Why an address is not opened, when `start` was asked for; empty if it is."""
    if not re.fullmatch("[!-~]+", url):
        return "it holds characters that no web address has"
    try:
        to, asked = urlsplit(url), urlsplit(start)
        to.port, asked.port  # noqa: B018 - raises on a port that is none
    except ValueError as error:
        return str(error)
    if to.scheme not in ("http", "https") or not to.hostname:
        return "it is no web address"
    if to.scheme == "http" and not (_is_local(to) and asked.scheme == "http"):
        return "it is not encrypted"
    if to.username is not None:
        return "it holds a user's name"
    if to.hostname not in (*HOSTS, asked.hostname):
        return f"only {', '.join(dict.fromkeys((asked.hostname or '', *HOSTS)))} are trusted"
    return ""


def _is_local(address: SplitResult) -> bool:
    try:
        return address.hostname == "localhost" or ipaddress.ip_address(address.hostname or "").is_loopback
    except ValueError:
        return False
