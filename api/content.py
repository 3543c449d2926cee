"""What a request's body may be written in."""

from __future__ import annotations

from email.message import Message

from fastapi import Request

from api.problems import ProblemError


async def require_json(request: Request) -> None:
    """Raises: ProblemError 415 if there is a body and it does not say to be JSON.

    A page elsewhere can make a browser send any other type without asking first.
    """
    has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    declared = Message()
    declared["content-type"] = request.headers.get("content-type", "")
    if has_body and declared.get_content_type() != "application/json":
        raise ProblemError(
            415, "unsupported-media-type", "The body is not JSON", "send it with Content-Type: application/json"
        )
