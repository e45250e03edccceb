"""A server on this machine that answers as it is told: whole, in part, slowly, with lies, or not at all."""

import contextlib
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Served:
    """A server that is running.

    Attributes:
        url: an address on it.
        requests: the headers of each request so far.
        paths: what each asked for.
    """

    def __init__(self, answers):
        self.requests, self.paths, self._answers = [], [], list(answers)
        self.over = threading.Event()
        self._server = _Quiet(("127.0.0.1", 0), _Handler)
        self._server.served = self
        self.root = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.root}/archive.zip"

    def next(self):
        """The answer to this request; the last one stays."""
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def run(self):
        self._server.serve_forever(poll_interval=0.01)

    def stop(self):
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def serving(*answers):
    """A server that gives these answers, one a request."""
    served = Served(answers)
    thread = threading.Thread(target=served.run, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.stop()
        thread.join()


def whole(
    body, *, etag=None, ranges=True, chunked=False, claims=None, kind="application/zip", stops_at=None, then=None
):
    """Answer with a file, or the part of it that is asked for.

    Args:
        body: the file.
        etag: its ETag.
        ranges: whether a Range is honoured.
        chunked: whether it comes without a length.
        claims: a Content-Length that is not so.
        stops_at: the byte before which it breaks off.
        then: called there, with the handler.
    """

    def answer(handler):
        first = _asked(handler.headers, etag) if ranges else 0
        handler.send_response(206 if first else 200)
        handler.send_header("Content-Type", "application/zip")
        if etag:
            handler.send_header("ETag", etag)
        if first:
            handler.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        if chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        else:
            handler.send_header("Content-Length", str(claims or len(body) - first))
        handler.end_headers()
        _send(handler, body[first:stops_at], chunked)
        if then:
            handler.wfile.flush()
            then(handler)
        elif chunked and stops_at is None:
            handler.wfile.write(b"0\r\n\r\n")

    return answer


def says(status, body=b"", **headers):
    """Answer with a status, headers and a few bytes."""

    def answer(handler):
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def leads(to, status=302):
    """Answer with a redirect."""
    return says(status, Location=to)


def silent(handler):
    """Never say another word."""
    handler.server.served.over.wait(30)


def trickling(handler):
    """Go on with next to nothing, for ever."""
    while not handler.server.served.over.wait(0.02):
        handler.wfile.write(b".")
        handler.wfile.flush()


def hangs_up(handler):
    """Say nothing and go."""


def babbles(handler):
    """Say something that is no HTTP."""
    handler.wfile.write(b"\x00\xffhello\r\n\r\n")


def _asked(headers, etag):
    match = re.fullmatch(r"bytes=(\d+)-", headers.get("Range", ""))
    return int(match[1]) if match and headers.get("If-Range") in (None, etag) else 0


def _send(handler, body, chunked):
    for start in range(0, len(body), 7000):
        piece = body[start : start + 7000]
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.served.requests.append(dict(self.headers))
        self.server.served.paths.append(self.path)
        self.close_connection = True
        with contextlib.suppress(ConnectionError):
            self.server.served.next()(self)

    def log_message(self, *_):
        pass


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


def waited(condition, seconds=20.0):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()
