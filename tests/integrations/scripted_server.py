"""A server of HTTP on the loopback that answers as a test scripts it; what it is beyond that, it says itself."""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, Literal, Self


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What to do with one request. It counts as accepted on 2xx, even when the answer is lost on its way back:
    `cut` closes the connection instead of answering, `held` keeps it open and silent until the server stops."""

    status: int = 202
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    lost: Literal["cut", "held"] | None = None

    @property
    def accepts(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        told = json.loads(self.body)
        assert isinstance(told, dict)
        return told


class ScriptedServer(ABC):
    """Listens on 127.0.0.1 between `start` and `stop`, or within `with`. May be asked from any thread."""

    def __init__(self, port: int = 0) -> None:
        self.connections = 0
        self._script: deque[Answer] = deque()
        self._lock = Lock()
        self._stopping = Event()
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def script(self, *answers: Answer) -> None:
        """Answer the next requests like this, in order, one a request."""
        with self._lock:
            self._script.extend(answers)

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def wait(self) -> None:
        """Serve until the process is told to end."""
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @abstractmethod
    def answer(self, request: Request) -> Answer:
        """Decide on one request."""

    def _scripted(self) -> Answer | None:
        """The next scripted answer; None when all are used up. To be asked with `_lock` held."""
        return self._script.popleft() if self._script else None

    def connected(self) -> None:
        with self._lock:
            self.connections += 1

    def hold(self) -> None:
        self._stopping.wait()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], scripted: ScriptedServer) -> None:
        self.scripted = scripted
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is part of the play; anything else is told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.scripted.connected()

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def _answer(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.scripted.answer(Request(method, self.path, headers, body))
        if answer.lost is not None:
            if answer.lost == "held":
                self.server.scripted.hold()
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent: tests read what was kept."""
