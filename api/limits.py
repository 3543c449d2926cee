"""How large a request's body may be, whether its length is declared or it comes in chunks."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import of_status

MAX_BODY_BYTES = 1_000_000
_PATIENCE_BYTES = 20_000_000
"""So much of a body that is too large is read and dropped, so that its sender gets to read the answer."""


class BodyLimit:
    """ASGI middleware: a body above the limit is answered with 413, and no route gets to parse it.

    `larger` are the limits of paths that have one of their own, in bytes.
    """

    def __init__(self, app: ASGIApp, larger: Mapping[str, int]) -> None:
        self._app = app
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._larger.get(scope["path"], MAX_BODY_BYTES)
        too_large = f"a body may have {limit} bytes at the most"
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            await _drop(receive)
            await of_status(413, too_large).response()(scope, receive, send)
            return
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                if message.get("more_body"):
                    await _drop(receive)
                # The one exception that FastAPI passes on when it comes out of reading a body.
                raise HTTPException(413, too_large)
            return message

        await self._app(scope, limited, send)


async def _drop(receive: Receive) -> None:
    dropped = 0
    while dropped < _PATIENCE_BYTES:
        message = await receive()
        dropped += len(message.get("body", b""))
        if not message.get("more_body"):
            return
