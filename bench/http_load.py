"""Requests as fast as a server takes them, over a few connections, at little cost to the machine that both run on."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")


def post(path: str, body: bytes, **headers: str) -> bytes:
    """The bytes of a request with a JSON body."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{more}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Answered(NamedTuple):
    seconds: float
    at: float
    """Since the epoch."""
    body: bytes


async def ask_all(url: str, requests: Iterable[bytes], connections: int) -> list[Answered]:
    """Send each request over one of the connections. Raises: RuntimeError for an answer that is no 2xx."""
    waiting = iter(requests)
    parts = urlsplit(url)
    answered = await asyncio.gather(*(_ask(parts.hostname, parts.port, waiting) for _ in range(connections)))
    return [each for some in answered for each in some]


async def _ask(host: str | None, port: int | None, waiting: Iterator[bytes]) -> list[Answered]:
    reader, writer = await asyncio.open_connection(host, port)
    answered = []
    for request in waiting:
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        answered.append(Answered(time.perf_counter() - began, time.time(), body))
        if not head.startswith(b"HTTP/1.1 2"):
            raise RuntimeError((head + body).decode())
    writer.close()
    return answered
