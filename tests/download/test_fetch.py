"""What a server may do to a transfer, and what becomes of it."""

import email.utils
import logging
import os
import signal
import time

import pytest

from download.conftest import IMPATIENT, QUICK
from download.packing import content
from download.serving import (
    babbles,
    hangs_up,
    leads,
    says,
    serving,
    silent,
    trickling,
    waited,
    whole,
)
from facesegl.download import web
from facesegl.download.fetch import Patience, fetch
from facesegl.download.part import Part
from facesegl.errors import ConfigError, MachineError

BODY = content(1, 100_000)
HAND = "By hand: git clone."
FAILS = whole(BODY, etag='"a"', stops_at=40_000)


def fetched(served, tmp_path, *, url=None, patience=QUICK, most=2_000_000):
    """What came, from a first start or a further one."""
    part = Part(tmp_path, url or served.url)
    fetch(url or served.url, part, most=most, patience=patience, by_hand=HAND)
    return part.file.read_bytes()


def ranges(served):
    return [(asked.get("Range"), asked.get("If-Range")) for asked in served.requests]


@pytest.mark.parametrize("chunked", [False, True])
def test_archive_comes_as_it_is(tmp_path, chunked):
    with serving(whole(BODY, chunked=chunked)) as served:
        assert fetched(served, tmp_path) == BODY
        (asked,) = served.requests
    assert asked["User-Agent"] == "facesegl"
    assert "Cookie" not in asked
    assert "Authorization" not in asked
    assert asked["Accept-Encoding"] == "identity"


def test_whole_archive_is_not_asked_for_again(tmp_path):
    with serving(whole(BODY)) as served:
        fetched(served, tmp_path)
        assert fetched(served, tmp_path) == BODY
        assert len(served.requests) == 1


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (whole(BODY, etag='"a"', stops_at=40_000), "broke off"),
        (whole(BODY, chunked=True, stops_at=40_000), "broke off"),
        (whole(BODY, claims=150_000), "broke off"),
        (hangs_up, "Remote end closed connection"),
        (babbles, "x00"),
        (says(200), "the answer is empty"),
        (says(429, Retry_After="0"), "429 Too Many Requests"),
        (says(500), "500 Internal Server Error"),
        (says(503, b"<html>", Content_Type="text/html"), "503 Service Unavailable"),
    ],
    ids=[
        *("cuts off", "cuts off chunks", "claims too much", "hangs up", "is no HTTP"),
        *("is empty", "429", "500", "503"),
    ],
)
def test_what_may_pass_is_tried_again_and_told(tmp_path, caplog, trouble, words):
    with serving(trouble, whole(BODY)) as served, caplog.at_level(logging.INFO):
        assert fetched(served, tmp_path) == BODY
        assert len(served.requests) == 2
    assert words in caplog.text
    assert "trying again in 0.01 s" in caplog.text


@pytest.mark.parametrize("stop", [None, 40_000], ids=["never answers", "stalls"])
def test_server_that_falls_silent_is_asked_again(tmp_path, caplog, stop):
    stalls = whole(BODY, etag='"a"', stops_at=stop, then=silent) if stop else silent
    with serving(stalls, whole(BODY, etag='"a"')) as served, caplog.at_level(logging.INFO):
        assert fetched(served, tmp_path, patience=IMPATIENT) == BODY
        assert served.requests[-1].get("Range") == (f"bytes={stop}-" if stop else None)
    assert "nothing came for 0.4 s; trying again in 0.01 s" in caplog.text


def test_what_does_not_pass_is_given_up_with_what_to_do(tmp_path, caplog):
    with serving(says(500)) as served, caplog.at_level(logging.INFO), pytest.raises(MachineError) as told:
        fetched(served, tmp_path)
    assert str(told.value) == (f"{served.url}: the server answers 500 Internal Server Error (tried 3 times). {HAND}")
    assert len(served.requests) == 3
    assert "again in 0.01 s" in caplog.text
    assert "again in 0.02 s" in caplog.text, "the pauses grow"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (says(404), "404 Not Found"),
        (says(403), "403 Forbidden"),
        (says(401, WWW_Authenticate="Basic"), "401 Unauthorized"),
        (says(407), "407 Proxy Authentication Required"),
        (says(299), "answers 299."),
        (says(200, b"<html>Log in</html>", Content_Type="text/html; charset=utf-8"), "asks? for a login|login"),
        (says(302), "says not where to"),
        (whole(BODY, claims=10**12), "larger than FASSEG can be"),
        (whole(bytes(3_000_000), chunked=True), "larger than FASSEG can be"),
    ],
    ids=["404", "403", "401", "407", "299", "login page", "redirect to nowhere", "claims a bomb", "sends a bomb"],
)
def test_what_cannot_pass_is_told_at_once(tmp_path, answer, words):
    with serving(answer) as served, pytest.raises(MachineError, match=words) as told:
        fetched(served, tmp_path)
    assert len(served.requests) == 1
    assert str(told.value).startswith(f"{served.url}: ")
    assert str(told.value).endswith(HAND)
    assert list(tmp_path.iterdir()) == []


def test_next_to_nothing_is_no_transfer(tmp_path):
    answer = whole(BODY, claims=200_000, stops_at=500, then=trickling)
    with serving(answer) as served, pytest.raises(MachineError, match=r"less than 1 kB/s came for 0.5 s"):
        fetched(served, tmp_path, patience=Patience(0.5, ()))


def test_nobody_there(tmp_path):
    with serving(says(200)) as served:
        pass
    with pytest.raises(MachineError, match=r"Connection refused \(tried 3 times\)"):
        fetched(served, tmp_path)


def test_name_that_no_one_knows(tmp_path, monkeypatch):
    def unknown(*_args, **_how):
        raise web.http.client.socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    with pytest.raises(MachineError, match=r"Name or service not known \(tried 3 times\)"):
        fetched(None, tmp_path, url="https://github.com/x.zip")


def test_server_without_tls_is_told(tmp_path):
    with serving(whole(BODY)) as served, pytest.raises(MachineError, match="SSL"):
        fetched(served, tmp_path, url=served.url.replace("http:", "https:"))


def test_certificate_that_is_not_trusted_is_told_at_once():
    refused = web.ssl.SSLCertVerificationError(1, "CERTIFICATE_VERIFY_FAILED")
    refused.verify_message = "self-signed certificate"
    with pytest.raises(web.Refused, match=r"not trusted \(self-signed certificate\); .*SSL_CERT_FILE"), web.troubles(1):
        raise web.URLError(refused)


def test_wait_that_the_server_asks_for_is_kept(tmp_path):
    with serving(says(429, Retry_After="1"), whole(BODY)) as served:
        started = time.monotonic()
        assert fetched(served, tmp_path) == BODY
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize("as_date", [False, True])
def test_wait_that_is_too_long_is_told(tmp_path, as_date):
    late = email.utils.formatdate(time.time() + 3600, usegmt=True) if as_date else "3600"
    with serving(says(503, Retry_After=late)) as served, pytest.raises(MachineError, match=r"asks to wait 3[56]\d\d s"):
        fetched(served, tmp_path)
    assert len(served.requests) == 1


@pytest.mark.parametrize("nonsense", ["soon", "-5", "", "Wed, 99 Nov 2026 00:00:00 GMT", "\u0661"])
def test_wait_that_is_nonsense_is_none(nonsense):
    assert web._asked_wait(nonsense) == 0


def test_broken_transfer_goes_on_where_it_was(tmp_path):
    with serving(FAILS, whole(BODY, etag='"a"')) as served:
        assert fetched(served, tmp_path) == BODY
        assert ranges(served) == [(None, None), ("bytes=40000-", '"a"')]


def test_another_start_goes_on_where_it_was(tmp_path):
    with serving(*[FAILS] * 3, whole(BODY, etag='"a"')) as served:
        served._answers[1:3] = [says(500)] * 2
        with pytest.raises(MachineError, match=r"0.0 MB are kept, and the same command goes on with them. By hand"):
            fetched(served, tmp_path)
        assert fetched(served, tmp_path) == BODY
        assert ranges(served)[-1] == ("bytes=40000-", '"a"')


@pytest.mark.parametrize(
    "then",
    [
        whole(BODY, etag='"a"', ranges=False),
        whole(BODY, etag='"b"'),
        whole(BODY),
    ],
    ids=["ranges are ignored", "the etag has changed", "the etag has gone"],
)
def test_server_that_sends_all_of_it_again_is_taken_at_its_word(tmp_path, then):
    with serving(whole(content(2, 100_000), etag='"a"', stops_at=40_000), then) as served:
        assert fetched(served, tmp_path) == BODY
        assert len(served.requests) == 2


@pytest.mark.parametrize("etag", [None, 'W/"a"', "a", '"a', '"ä"'])
def test_without_a_strong_etag_it_starts_over(tmp_path, etag):
    with serving(whole(BODY, etag=etag, stops_at=40_000), whole(BODY, etag=etag)) as served:
        assert fetched(served, tmp_path) == BODY
        assert ranges(served)[1] == (None, None)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Range": f"bytes 39999-99999/{len(BODY)}", "ETag": '"a"'},
        {"Content_Range": "bytes 40000-99999/100001", "ETag": '"a"'},
        {"Content_Range": f"bytes 40000-99999/{len(BODY)}", "ETag": '"b"'},
        {"Content_Range": "everything", "ETag": '"a"'},
        {},
    ],
    ids=["another place", "another size", "another etag", "no range", "nothing said"],
)
def test_part_of_something_else_is_not_appended(tmp_path, headers):
    with serving(FAILS, says(206, b"x" * 60_000, **headers), whole(BODY, etag='"a"')) as served:
        assert fetched(served, tmp_path) == BODY
        assert ranges(served)[2] == (None, None)


def test_server_that_has_nothing_more_to_send_is_asked_from_the_start(tmp_path):
    with serving(FAILS, says(416, Content_Range="bytes */20000"), whole(BODY, etag='"a"')) as served:
        assert fetched(served, tmp_path) == BODY
        assert ranges(served)[2] == (None, None)


def test_rest_without_a_total_is_enough(tmp_path):
    rest = says(206, BODY[40_000:], Content_Range="bytes 40000-99999/*")
    with serving(whole(BODY, etag='"a"', chunked=True, stops_at=40_000), rest) as served:
        assert fetched(served, tmp_path) == BODY


def test_archive_from_elsewhere_is_not_gone_on_with(tmp_path):
    with serving(*[FAILS] * 3, whole(BODY, etag='"a"')) as served:
        with pytest.raises(MachineError):
            fetched(served, tmp_path, patience=Patience(20, ()))
        assert fetched(served, tmp_path, url=f"{served.root}/other.zip") == BODY


@pytest.mark.parametrize("notes", ["", "null", "{", '{"url": 5}', "[]"])
def test_notes_that_cannot_be_read_start_over(tmp_path, notes):
    (tmp_path / "archive.part").write_bytes(b"x" * 500)
    (tmp_path / "archive.json").write_text(notes)
    with serving(whole(BODY, etag='"a"')) as served:
        assert fetched(served, tmp_path) == BODY


def test_tries_are_counted_from_anew_after_a_good_stretch(tmp_path):
    body = content(3, 6_000_000)
    cuts = [whole(body, etag='"a"', stops_at=stop) for stop in (1_500_000, 3_000_000, 4_500_000)]
    with serving(*cuts, whole(body, etag='"a"')) as served:
        assert fetched(served, tmp_path, most=10_000_000, patience=Patience(20, (0.01,))) == body


def test_stop_keeps_what_came_and_the_next_start_goes_on(tmp_path):
    part = tmp_path / "archive.part"

    def interrupts(handler):
        waited(lambda: part.is_file() and part.stat().st_size == 40_000)
        os.kill(os.getpid(), signal.SIGINT)
        silent(handler)

    slow = Patience(timeout_s=30, pauses_s=())
    with serving(whole(BODY, etag='"a"', stops_at=40_000, then=interrupts), whole(BODY, etag='"a"')) as served:
        with pytest.raises(KeyboardInterrupt):
            fetched(served, tmp_path, patience=slow)
        assert part.read_bytes() == BODY[:40_000]
        assert fetched(served, tmp_path) == BODY
        assert ranges(served)[1] == ("bytes=40000-", '"a"')


def test_redirects_within_one_server_are_followed(tmp_path):
    with serving(leads("/b"), leads("c", 301), leads("?d", 307), leads("/e", 308), whole(BODY)) as served:
        assert fetched(served, tmp_path) == BODY
        assert served.paths == ["/archive.zip", "/b", "/c", "/c?d", "/e"]


def test_redirect_goes_on_where_it_was_too(tmp_path):
    with serving(leads("/b"), FAILS, leads("/c"), whole(BODY, etag='"a"')) as served:
        assert fetched(served, tmp_path) == BODY
        assert ranges(served)[3] == ("bytes=40000-", '"a"')


def test_redirects_in_a_circle_end(tmp_path):
    with serving(leads("/archive.zip")) as served, pytest.raises(MachineError, match="more than 5 times"):
        fetched(served, tmp_path)
    assert len(served.requests) == 6


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("file:///etc/passwd", "no web address"),
        ("ftp://github.com/x.zip", "no web address"),
        ("data:,PK", "no web address"),
        ("http://github.com/x.zip", "not encrypted"),
        ("http://192.0.2.1/x.zip", "not encrypted"),
        ("https://example.org/x.zip", "only 127.0.0.1, github.com, codeload.github.com are trusted"),
        ("https://github.com.example.org/x.zip", "are trusted"),
        ("https://github.com@example.org/x.zip", "a user's name"),
        ("https://github.com\\@example.org/x.zip", "a user's name"),
        ("//example.org/x.zip", "not encrypted"),
        ("https://[::1/x.zip", "Invalid IPv6 URL"),
        ("https://github.com:x/", "Port could not be cast"),
        ("http://127.0.0.1/a b", "characters"),
        ("http://127.0.0.1/ä", "characters"),
    ],
)
def test_redirect_to_anywhere_else_is_refused(tmp_path, to, words):
    with serving(leads(to)) as served, pytest.raises(MachineError, match=f"it was redirected to .*{words}"):
        fetched(served, tmp_path)
    assert len(served.requests) == 1


def test_another_name_of_this_machine_is_another_host(tmp_path):
    with serving(whole(BODY)) as other, serving(leads(other.url.replace("127.0.0.1", "localhost"))) as served:
        with pytest.raises(MachineError, match=r"only 127.0.0.1"):
            fetched(served, tmp_path)
        assert not other.requests


@pytest.mark.parametrize(
    ("start", "to", "is_fit"),
    [
        ("https://github.com/a", "https://codeload.github.com/b", True),
        ("https://github.com/a", "https://GitHub.com/b", True),
        ("https://mirror.example.org/a", "https://mirror.example.org/b", True),
        ("https://mirror.example.org/a", "https://github.com/b", True),
        ("https://github.com/a", "http://127.0.0.1/b", False),
        ("https://github.com/a", "https://127.0.0.1/b", False),
        ("https://github.com/a", "http://github.com/b", False),
        ("https://github.com/a", "https://mirror.example.org/b", False),
        ("http://127.0.0.1/a", "http://127.0.0.1:81/b", True),
    ],
)
def test_where_a_start_may_lead(start, to, is_fit):
    assert (web._problem(to, start) == "") == is_fit


@pytest.mark.parametrize("url", ["http://github.com/x", "file:///x", "x.zip", "", "https://", "ftp://github.com/x"])
def test_address_that_is_never_opened_is_refused(url):
    with pytest.raises(ConfigError, match="expected an https address"):
        web.require_fit(url)


@pytest.mark.parametrize(
    "url", ["https://github.com/x", "http://127.0.0.1:80/x", "http://[::1]/x", "http://localhost/x"]
)
def test_address_that_is_fit(url):
    web.require_fit(url)


def test_proxy_of_the_environment_is_used(tmp_path, monkeypatch):
    with serving(whole(BODY)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.root)
        assert fetched(None, tmp_path, url="http://localhost:9/x.zip") == BODY
        assert proxy.paths == ["http://localhost:9/x.zip"]


def test_lines_say_how_much_came_and_what_is_left(caplog, monkeypatch):
    from facesegl.download.meter import meter

    times = iter([100.0, 100.0, 105.0, 110.0, 112.0])
    monkeypatch.setattr("facesegl.download.meter.time.monotonic", lambda: next(times))
    with caplog.at_level(logging.INFO), meter("fetching") as shown:
        shown.begin(1_000_000, 61_000_000)
        for _ in range(2):
            shown.advance(10_000_000)
        assert caplog.messages == ["fetching: 21.0 MB, 2.00 MB/s, 0:20 left of 61.0 MB"]
        shown.begin(0, None)
    assert len(caplog.messages) == 1


def test_bar_of_an_unknown_total_can_be_drawn(monkeypatch):
    import io

    from rich.console import Console

    from facesegl.download.meter import meter

    drawn = io.StringIO()
    monkeypatch.setattr("facesegl.console.console", lambda: Console(file=drawn, force_terminal=True, width=100))
    with meter("fetching") as shown:
        shown.begin(0, None)
        shown.advance(5_000_000)
        shown.begin(2_000_000, 10_000_000)
        shown.advance(8_000_000)
    assert "10.0/10.0 MB" in drawn.getvalue()
