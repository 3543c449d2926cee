"""One log line and one measurement for each request; an unexpected error ends here.

Neither the query string nor an exception's text is logged: both may hold an address.
"""

from __future__ import annotations

import logging
import time
import traceback
from http import HTTPMethod

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import Metrics
from api.problems import unexpected

logger = logging.getLogger(__name__)

_METHODS = frozenset(HTTPMethod)


class Observing:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status: int | None = None
        seconds: float | None = None
        began = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                # What a route does after its answer is none of the time that its caller waits.
                seconds = time.perf_counter() - began

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            _log_unexpected(error)
            if status is None:
                await unexpected().response()(scope, receive, watched)
        _record(scope, status, time.perf_counter() - began if seconds is None else seconds)


def _record(scope: Scope, status: int | None, seconds: float) -> None:
    metrics: Metrics = scope["app"].state.services.metrics
    method = scope["method"] if scope["method"] in _METHODS else "other"
    route = getattr(scope.get("route"), "path", "none")
    metrics.requests.labels(method, route, status).inc()
    metrics.request_seconds.labels(method, route).observe(seconds)
    logger.info("request", extra={"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)})


def _log_unexpected(error: Exception) -> None:
    *frames, last = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename]
    logger.error(
        "unexpected error",
        extra={
            "error": type(error).__name__,
            "where": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in (*ours, last)],
        },
    )
