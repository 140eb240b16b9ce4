"""A server on loopback that answers as it is told, and counts what it is asked."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator


class Server:
    """Files by path, and for each path a list of ways to answer; the last one is used for ever."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.files: dict[str, bytes] = {}
        self.ways: dict[str, list[str]] = {}
        self.asked: list[tuple[str, str, str]] = []  # method, path, range

    def put(self, path: str, content: bytes, *ways: str) -> str:
        """Serve a file; gives its URL."""
        self.files[path] = content
        self.ways[path] = list(ways) or ["whole"]
        return self.address + path

    def gets(self, path: str) -> list[str]:
        """The ranges of all GETs of a path."""
        return [wanted for method, one, wanted in self.asked if (method, one) == ("GET", path)]


@contextlib.contextmanager
def serve() -> Iterator[Server]:
    def handler(*arguments: object) -> Handler:
        return Handler(server, *arguments)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.daemon_threads = True
        running.block_on_close = False
        server = Server(running.server_address[1])
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        running.shutdown()
        thread.join()


class Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, server: Server, *arguments: object) -> None:
        self.book = server
        super().__init__(*arguments)  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path, book = self.path, self.book
        book.asked.append((self.command, path, self.headers.get("Range", "")))
        if path not in book.files:
            return self._head(404, b"")
        ways = book.ways[path]
        way = ways.pop(0) if len(ways) > 1 and self.command == "GET" else ways[0]
        getattr(self, f"way_{way.partition(' ')[0]}")(book.files[path], way.partition(" ")[2])
        return None

    def _head(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        headers.setdefault("Content_Length", str(len(body)))
        for name, value in headers.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            with contextlib.suppress(OSError):
                self.wfile.write(body)

    def way_whole(self, content: bytes, _: str) -> None:
        first = int(self.headers.get("Range", "bytes=0-")[len("bytes=") :].rstrip("-"))
        part = {"Content_Range": f"bytes {first}-{len(content) - 1}/{len(content)}"} if first else {}
        self._head(206 if first else 200, content[first:], ETag=f'"{hash(content)}"', **part)

    def way_hub(self, content: bytes, etag: str) -> None:
        first = int(self.headers.get("Range", "bytes=0-")[len("bytes=") :].split("-")[0])
        part = {"Content_Range": f"bytes {first}-{len(content) - 1}/{len(content)}"} if "Range" in self.headers else {}
        self._head(206 if part else 200, content[first:], ETag=f'"{etag}"', X_Repo_Commit="a" * 40, **part)

    def way_status(self, content: bytes, status: str) -> None:
        self._head(int(status), b"no")

    def way_redirect(self, content: bytes, where: str) -> None:
        self._head(302, b"", Location=where)

    def way_cut(self, content: bytes, share: str) -> None:
        """Promises the whole and closes in the middle."""
        self._head(200, content[: int(len(content) * float(share))], Content_Length=str(len(content)), ETag='"1"')
        self.close_connection = True

    def way_drop(self, content: bytes, _: str) -> None:
        self.connection.close()

    def way_stall(self, content: bytes, seconds: str) -> None:
        self._head(200, content[:10], Content_Length=str(len(content)), ETag='"1"')
        with contextlib.suppress(OSError):
            self.wfile.flush()
        time.sleep(float(seconds))

    def way_garbage(self, content: bytes, _: str) -> None:
        self._head(200, bytes(len(content)))

    def way_wrong_part(self, content: bytes, _: str) -> None:
        self._head(206, content[:5], Content_Range=f"bytes 1-5/{len(content)}")

    def way_unversioned(self, content: bytes, _: str) -> None:
        """The whole again, whatever part is wanted."""
        self._head(200, content)

    def way_two_lines(self, content: bytes, _: str) -> None:
        """A header that is folded, as none is any more."""
        self._head(200, content, ETag='"a\r\n b"')
