"""A local server that sends an archive whole, in part, late, or not at all."""

import contextlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from download.archives import ZIP


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.requests.append(dict(self.headers))
        self.server.ranges.append(self.headers.get("Range"))
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
    """Run a server that gives one answer per request, and the last one again; it records what was requested."""
    mirror = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    mirror.daemon_threads, mirror.answers, mirror.over = True, answers or [sends()], threading.Event()
    mirror.requests, mirror.ranges, mirror.paths = [], [], []
    mirror.url = f"http://127.0.0.1:{mirror.server_port}/archive.zip"
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
        says(206 if match else 200, None, **headers)(handler)
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
        handler.send_response(status)
        for name, value in (headers if body is None else {"Content-Length": len(body), **headers}).items():
            handler.send_header(name.replace("_", "-"), str(value))
        handler.end_headers()
        handler.wfile.write(body or b"")

    return answer
