"""A local server that sends an archive whole, in part, late, or not at all."""

import contextlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from download.archives import ZIP


class Mirror(ThreadingHTTPServer):
    """Gives one answer per request, and the last one again; `requests` and `paths` have the headers and URLs so far."""

    daemon_threads = True

    def __init__(self, answers):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests, self.paths, self.answers = [], [], list(answers)
        self.over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/archive.zip"

    @property
    def ranges(self):
        return [headers.get("Range") for headers in self.requests]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.requests.append(dict(self.headers))
        self.server.paths.append(self.path)
        self.close_connection = True
        answer, *rest = self.server.answers
        self.server.answers = rest or [answer]
        with contextlib.suppress(ConnectionError):
            answer(self)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(*answers):
    mirror = Mirror(answers or [sends()])
    thread = threading.Thread(target=mirror.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield mirror
    finally:
        mirror.over.set()
        mirror.shutdown()
        mirror.server_close()
        thread.join()


def sends(body=ZIP, *, ranges=True, chunked=False, claims=None, stops_at=None, then=None):
    """Answer with a file or the requested range of it: optionally without a length, with a false one, or broken off."""

    def answer(handler):
        match = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", "")) if ranges else None
        first = int(match[1]) if match else 0
        headers = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": claims or len(body) - first}
        if match:
            headers["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
        _begin(handler, 206 if match else 200, {"Content-Type": "application/zip", **headers})
        for start in range(first, len(body[:stops_at]), 7000):
            piece = body[:stops_at][start : start + 7000]
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if then:
            handler.wfile.flush()
            then(handler)
        elif chunked and stops_at is None:
            handler.wfile.write(b"0\r\n\r\n")

    return answer


def says(status, body=b"", **headers):
    def answer(handler):
        _begin(handler, status, {"Content-Length": len(body), **headers})
        handler.wfile.write(body)

    return answer


def _begin(handler, status, headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()


def hangs(handler):
    handler.server.over.wait(30)
