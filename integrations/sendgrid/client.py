"""The connection to SendGrid's API, for whatever is asked of it."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx

_API_KEY = re.compile(r"[!-~]+")


def sendgrid_client(
    api_key: str,
    url: str,
    *,
    connect_timeout: timedelta = timedelta(seconds=5),
    write_timeout: timedelta = timedelta(seconds=10),
    read_timeout: timedelta = timedelta(seconds=30),
    pool_timeout: timedelta = timedelta(seconds=10),
    connections: int = 100,
) -> httpx.Client:
    """A blocking client, which several threads may share.

    Raises: ValueError, when the API key or the URL cannot be one.
    """
    # Checked here because an HTTP client quotes a header that it cannot send, and so would log the key.
    if not _API_KEY.fullmatch(api_key):
        raise ValueError("The SendGrid API key is empty or has characters that no key has: set SENDGRID_API_KEY")
    if not _is_http(url):
        raise ValueError(f"{url!r} is not the URL of an API: set CAUCE_SENDGRID_URL, as https://api.sendgrid.com")
    return httpx.Client(
        base_url=url,
        headers={"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"},
        timeout=httpx.Timeout(
            connect=connect_timeout.total_seconds(),
            write=write_timeout.total_seconds(),
            read=read_timeout.total_seconds(),
            pool=pool_timeout.total_seconds(),
        ),
        # Idle connections go soon: one that the provider closes while we write makes a message ambiguous.
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=5),
        follow_redirects=False,
    )


def _is_http(url: str) -> bool:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return parsed.scheme in ("http", "https") and parsed.host != ""
