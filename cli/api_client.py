"""The HTTP API, as commands use it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from cli.failures import CommandFailed
from cli.ports import LOOPBACK
from runtime.settings import Settings

_PATIENCE_SECONDS = 10.0
_UPLOAD_PATIENCE_SECONDS = 60.0
"""Until the API takes the next piece of an upload."""


class ApiRefused(CommandFailed):
    """The API answered with a problem document (RFC 9457)."""

    def __init__(self, answer: httpx.Response) -> None:
        document = _document(answer)
        self.status = answer.status_code
        self.detail = document.get("detail", "the answer says no more")
        super().__init__(
            f"the API refused ({self.status} {document.get('title', answer.reason_phrase)}): {self.detail}"
        )


class ApiUnreachable(CommandFailed):
    """Nothing that speaks HTTP answers at the API's address."""


class ApiClient:
    """Raises from every call: ApiRefused, ApiUnreachable."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=_PATIENCE_SECONDS,
            # No proxy knows the way to this machine itself.
            trust_env=httpx.URL(url).host not in {LOOPBACK, "localhost", "::1"},
        )

    @classmethod
    def of(cls, settings: Settings) -> ApiClient:
        """The API that the settings name, with their first key."""
        key = settings.api_keys[0].get_secret_value() if settings.api_keys else None
        return cls(str(settings.api_url), key)

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._send("POST", path, json=body)

    async def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._send("PATCH", path, json=body)

    async def upload(self, path: str, pieces: AsyncIterator[bytes], headers: Mapping[str, str]) -> dict[str, Any]:
        """POST a body that is sent as it is made, and taken as fast as the API keeps up."""
        return await self._send("POST", path, content=pieces, headers=headers, timeout=_UPLOAD_PATIENCE_SECONDS)

    async def get(self, path: str) -> dict[str, Any]:
        return await self._send("GET", path)

    async def _send(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, path, **content)
        except httpx.HTTPError as error:
            raise ApiUnreachable(
                f"the API at {self.url} does not answer ({type(error).__name__}): "
                "start it by `cauce up`, or set CAUCE_API_URL"
            ) from None
        if not answer.is_success:
            raise ApiRefused(answer)
        return _document(answer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()


def _document(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
