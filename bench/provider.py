"""A provider that takes whatever is posted to it, after the time that a real one needs: a process of its own.

It reads a request whole, waits, and answers 202 with an `X-Message-Id`. It judges nothing: what a request holds is for
tests to look at (`tests.integrations.fake_sendgrid`), and its judging would be measured along.

As a process: `python -m bench.provider --port 8025 --latency 0.2`
"""

from __future__ import annotations

import argparse
import asyncio
import re
from collections.abc import Sequence
from itertools import count

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")
_numbers = count(1)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, latency: float) -> None:
    """Serve one connection until its client closes it."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            found = _LENGTH.search(head)
            await reader.readexactly(int(found[1]) if found else 0)
            if latency:
                await asyncio.sleep(latency)
            writer.write(b"HTTP/1.1 202 Accepted\r\nX-Message-Id: %d\r\nContent-Length: 0\r\n\r\n" % next(_numbers))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="takes every message, after a while")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds until it answers")
    options = parser.parse_args(arguments)
    server = await asyncio.start_server(
        lambda reader, writer: answer(reader, writer, options.latency), "127.0.0.1", options.port, limit=2**24
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
