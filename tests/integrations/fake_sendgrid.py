"""SendGrid's Mail Send endpoint on the loopback: strict about what it is sent, and failing as scripted.

As a process: `python -m tests.integrations.fake_sendgrid --port 8025 --log accepted.jsonl`
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Literal, Self
from uuid import uuid4

API_KEY = "SG.fake.0123456789"
MAX_BYTES = 30 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What to do with one request. A message is accepted on 2xx, even when the answer is lost on its way back:
    `cut` closes the connection instead of answering, `held` keeps it open and silent until the fake stops."""

    status: int = 202
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    lost: Literal["cut", "held"] | None = None

    @property
    def accepts(self) -> bool:
        return 200 <= self.status < 300


class FakeSendGrid:
    """Listens on 127.0.0.1 between `start` and `stop`, or within `with`.

    Scripted answers are used up first, in order, one a request, whatever the request holds. After them valid messages
    get 202 with an `X-Message-Id`, invalid ones 400, other keys 401. Everything here may be read from any thread.
    """

    def __init__(self, port: int = 0, api_key: str = API_KEY, log: Path | None = None) -> None:
        self.api_key = api_key
        self.accepted: list[dict[str, Any]] = []
        self.requests = 0
        self.connections = 0
        self._log = log
        self._script: deque[Answer] = deque()
        self._lock = Lock()
        self._stopping = Event()
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def script(self, *answers: Answer) -> None:
        """Answer the next requests like this."""
        with self._lock:
            self._script.extend(answers)

    def messages(self, message_id: str) -> list[dict[str, Any]]:
        """The accepted bodies that carry this id of ours."""
        with self._lock:
            return [body for body in self.accepted if body["custom_args"]["cauce_message_id"] == message_id]

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait(self) -> None:
        """Serve until the process is told to end."""
        self._thread.join()

    def connected(self) -> None:
        with self._lock:
            self.connections += 1

    def answer(self, authorization: str, raw: bytes) -> Answer:
        """Decide on one request, and record its body when it is accepted."""
        with self._lock:
            self.requests += 1
            answer = self._script.popleft() if self._script else self._judge(authorization, raw)
            if answer.accepts:
                self._accept(json.loads(raw))
            return answer

    def hold(self) -> None:
        self._stopping.wait()

    def _judge(self, authorization: str, raw: bytes) -> Answer:
        if authorization != f"Bearer {self.api_key}":
            return failure(401, ("The provided authorization grant is invalid, expired, or revoked", None))
        if len(raw) > MAX_BYTES:
            return failure(413, ("The payload is too large", None))
        try:
            body = json.loads(raw)
        except ValueError:
            return failure(400, ("Bad Request", None))
        complaints = [(f"{name} is not valid: {raw.decode()}", name) for name in invalid_fields(body)]
        if complaints:
            return failure(400, *complaints)
        return Answer(headers={"X-Message-Id": uuid4().hex})

    def _accept(self, body: dict[str, Any]) -> None:
        self.accepted.append(body)
        if self._log is not None:
            with self._log.open("a", encoding="utf-8") as log:
                log.write(json.dumps(body) + "\n")


def failure(status: int, *complaints: tuple[str, str | None], headers: Mapping[str, str] | None = None) -> Answer:
    """An answer as SendGrid words it; each complaint is a message and the field that it is about."""
    errors = [{"message": message, "field": name, "help": None} for message, name in complaints]
    return Answer(status=status, headers=headers or {}, body=json.dumps({"errors": errors}).encode())


def invalid_fields(body: object) -> Iterator[str]:
    """The names of the fields that SendGrid refuses in a v3 Mail Send body.

    Source: SendGrid v3 API reference, Mail Send: required fields, limits and reserved headers.
    """
    if not isinstance(body, dict):
        yield "body"
        return
    yield from (name for name in body if name not in _FIELDS)
    yield from _invalid_personalizations(body.get("personalizations"))
    if not _is_person(body.get("from")):
        yield "from"
    if not _is_line(body.get("subject")):
        yield "subject"
    if not _is_content(body.get("content")):
        yield "content"
    for name in ("headers", "custom_args"):
        if not _are_strings(body.get(name, {})):
            yield name
    if any(name.lower() in _RESERVED_HEADERS for name in body.get("headers", {})):
        yield "headers"
    if len(json.dumps(body.get("custom_args", {}))) > 10_000:
        yield "custom_args"
    if not _are_categories(body.get("categories", [])):
        yield "categories"
    if not isinstance(body.get("tracking_settings", {}), dict):
        yield "tracking_settings"


# Of all that SendGrid knows, what Cauce sends.
_FIELDS = {
    *("personalizations", "from", "subject", "content"),
    *("headers", "categories", "custom_args", "tracking_settings"),
}
_RESERVED_HEADERS = {
    *("x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding"),
    *("to", "from", "subject", "reply-to", "cc", "bcc"),
}
_ADDRESS = re.compile(r"[^\s<>,;@]+@[^\s<>,;@]+")


def _invalid_personalizations(value: object) -> Iterator[str]:
    if not isinstance(value, list) or not 1 <= len(value) <= 1000:
        yield "personalizations"
        return
    for number, personalization in enumerate(value):
        people = personalization.get("to") if isinstance(personalization, dict) else None
        if not isinstance(people, list) or not people or set(personalization) != {"to"}:
            yield f"personalizations.{number}.to"
            continue
        for index, person in enumerate(people):
            if not _is_person(person):
                yield f"personalizations.{number}.to.{index}.email"
        addresses = [str(person.get("email")).lower() for person in people if isinstance(person, dict)]
        if len(addresses) != len(set(addresses)):
            yield f"personalizations.{number}.to"


def _is_person(value: object) -> bool:
    if not isinstance(value, dict) or not value.keys() <= {"email", "name"}:
        return False
    email, name = value.get("email"), value.get("name", "no name")
    return isinstance(email, str) and _ADDRESS.fullmatch(email) is not None and (name == "" or _is_line(name))


def _is_line(value: object) -> bool:
    return isinstance(value, str) and len(value.splitlines()) == 1


def _is_content(value: object) -> bool:
    if not isinstance(value, list) or not all(isinstance(part, dict) and _are_strings(part) for part in value):
        return False
    kinds = [part.get("type") for part in value]
    return kinds in (["text/plain"], ["text/html"], ["text/plain", "text/html"]) and all(
        part.keys() == {"type", "value"} and part["value"] for part in value
    )


def _are_strings(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _are_categories(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= 10
        and all(_is_line(name) and len(name) <= 255 for name in value)
        and len(set(value)) == len(value)
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], fake: FakeSendGrid) -> None:
        self.fake = fake
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
        self.server.fake.connected()

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/v3/mail/send":
            self._write(failure(404, ("Not Found", None)))
        elif self.headers.get_content_type() != "application/json":
            self._write(failure(415, ("Content-Type should be application/json.", None)))
        else:
            self._write(self.server.fake.answer(self.headers.get("Authorization", ""), raw))

    def do_GET(self) -> None:
        self._write(failure(405, ("method not allowed", None)))

    def _write(self, answer: Answer) -> None:
        if answer.lost is not None:
            if answer.lost == "held":
                self.server.fake.hold()
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent: tests read what was accepted."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="SendGrid's Mail Send endpoint on the loopback")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--log", type=Path, help="file that gets each accepted body as a line of JSON")
    parser.add_argument("--api-key", default=API_KEY)
    options = parser.parse_args(arguments)
    with FakeSendGrid(options.port, options.api_key, options.log) as fake:
        sys.stdout.write(f"{fake.url}\n")
        sys.stdout.flush()
        fake.wait()


if __name__ == "__main__":
    main()
