"""What a browser lets the Temporal Web UI do here: it is a page of another origin, and the only one that may."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import ProblemError
from api.wiring import Services, Wired
from runtime.settings import Settings

CODEC = "/codec"
"""Below this path, and nowhere else, another origin is let in."""

PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "authorization, content-type, x-namespace",
    "Access-Control-Max-Age": "600",
}


class WebUiCors:
    """ASGI middleware: tells browsers of which origin pages may read what comes from the codec, problems too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(f"{CODEC}/"):
            await self._app(scope, receive, send)
            return
        services: Services = scope["app"].state.services

        async def allowing(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Access-Control-Allow-Origin"] = _origin(services.settings)
                headers["Access-Control-Allow-Credentials"] = "true"
            await send(message)

        await self._app(scope, receive, allowing)


async def require_web_ui(request: Request, services: Wired) -> None:
    """A page that is not the Web UI's is refused, whatever key its browser has. Programs send no Origin.

    Raises: ProblemError 403.
    """
    origin = request.headers.get("origin")
    if origin is not None and origin != _origin(services.settings):
        raise ProblemError(
            403,
            "web-ui-only",
            "Only the Temporal Web UI may ask",
            f"pages of {_origin(services.settings)} are let in: open the Web UI there, or set CAUCE_TEMPORAL_UI_URL",
        )


def _origin(settings: Settings) -> str:
    """As browsers write it: without a path, and without a port that goes without saying."""
    url = urlsplit(str(settings.temporal_ui_url))
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
