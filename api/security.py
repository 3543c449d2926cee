"""Who may ask: holders of an API key or, where no key is configured, this machine alone."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.problems import ProblemError
from api.wiring import Wired
from runtime.loopback import is_loopback

bearer_scheme = HTTPBearer(
    scheme_name="ApiKey",
    auto_error=False,
    description="One of the keys in `CAUCE_API_KEYS`. Where none is configured, this machine alone may ask.",
)


async def require_key(
    request: Request, services: Wired, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer_scheme)]
) -> None:
    """For programs: `Authorization: Bearer <key>`. Raises: ProblemError 401 or 403."""
    if not services.keys:
        _require_own_pages(request)
    elif bearer is None or not services.keys.accept(_sent(bearer.credentials)):
        raise _unauthorized('Bearer realm="Cauce"')


async def require_key_or_password(request: Request, services: Wired) -> None:
    """For people: the key as a Bearer token, or as the password that a browser asks for. Raises: ProblemError 401."""
    if services.keys and not services.keys.accept(_bearer_or_password(request.headers.get("authorization", ""))):
        raise _unauthorized('Basic realm="Cauce", charset="UTF-8"')


async def require_loopback_without_keys(request: Request, services: Wired) -> None:
    """A page elsewhere whose name was made to lead here (DNS rebinding) sends its own name as Host.

    Raises: ProblemError 403.
    """
    if not services.keys and not _leads_here(f"//{request.headers.get('host', '')}"):
        raise _loopback_only()


def _require_own_pages(request: Request) -> None:
    origin = request.headers.get("origin")
    if origin is not None and not _leads_here(origin):
        raise _loopback_only()


def _leads_here(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname)
    except ValueError:
        return False


def _bearer_or_password(authorization: str) -> bytes:
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return _sent(credentials.strip())
    try:
        decoded = base64.b64decode(credentials, validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return b""
    name, _, password = decoded.partition(b":")
    return password or name


def _sent(header: str) -> bytes:
    """The bytes that a header's text was made from."""
    return header.encode("latin-1", "replace")


def _unauthorized(challenge: str) -> ProblemError:
    return ProblemError(
        401,
        "unauthorized",
        "An API key is needed",
        "send one of the configured keys: Authorization: Bearer <key>",
        headers={"WWW-Authenticate": challenge},
    )


def _loopback_only() -> ProblemError:
    return ProblemError(
        403,
        "loopback-only",
        "Only this machine may ask",
        "no API key is configured, so only requests to localhost or 127.0.0.1 are answered: set CAUCE_API_KEYS",
    )
