"""A CRM that tells another system of each change, by a signed webhook. See docs/crm-webhook.md."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from domain.crm import AppliedChange, CrmChange, CrmUnavailable, MirroredCrm
from integrations.webhook.addresses import PrivateAddress, PublicTransport, Resolve, is_public, resolve
from integrations.webhook.signature import SIGNATURE_HEADER, signature

logger = logging.getLogger(__name__)

SETTINGS_PATIENCE = timedelta(minutes=5)
"""Until a change is told again that failed for a setting: somebody has to mend it first."""
MOST_PATIENCE = timedelta(hours=1)
_IF_MEANT = "CAUCE_CRM_WEBHOOK_ALLOW_PRIVATE=true if it is meant"
_READ_AT_MOST = 16_384
"""Bytes of an answer that nobody looks at: a connection is used again only if the answer was read."""


class WebhookCrm:
    """Makes each change in `inner`, then posts it to `url`: at least once, also when a worker dies between the two.

    What the receiver refuses for good is noted, and changes nothing: the change stands. `allow_private` allows plain
    HTTP and addresses that are not public, for a receiver of one's own network.

    Raises: ValueError, when URL or secret cannot be one.
    """

    def __init__(
        self,
        inner: MirroredCrm,
        url: str,
        secret: str,
        *,
        allow_private: bool = False,
        timeout: timedelta = timedelta(seconds=10),
        connections: int = 20,
        resolve: Resolve = resolve,
    ) -> None:
        _check(url, allow_private=allow_private)
        self._inner = inner
        self._url = url
        self._secret = secret
        self._timeout = timeout.total_seconds()
        self._client = httpx.AsyncClient(
            headers={"Content-Type": "application/json", "User-Agent": "Cauce"},
            transport=PublicTransport(
                allow_private=allow_private,
                resolve=resolve,
                limits=httpx.Limits(max_connections=connections, keepalive_expiry=5),
            ),
            timeout=self._timeout,
            follow_redirects=False,
            # Not a proxy of the environment, which would look the name up once more, and no password of a .netrc.
            trust_env=False,
        )

    async def apply(self, change: CrmChange) -> AppliedChange:
        applied = await self._inner.apply(change)
        if applied.owed:
            await self._tell(applied)
        return applied

    async def catch_up(self) -> int:
        told = await self._inner.catch_up()
        for applied in await self._inner.abandoned(limit=100):
            try:
                await self._tell(applied)
            except CrmUnavailable as error:
                logger.warning("CRM webhook: changes left for later: %s", error.reason)
                break
            told += 1
        return told

    async def close(self) -> None:
        await self._client.aclose()
        await self._inner.close()

    async def _tell(self, applied: AppliedChange) -> None:
        """Post a change, and note that it was taken or refused. Raises: CrmUnavailable."""
        status, retry_after = await self._post(applied.id, _body(applied))
        refusal = _judge(status, retry_after)
        if refusal is not None:
            logger.warning("CRM webhook: %s", refusal, extra={"change_id": applied.id, "step": applied.step})
        await self._inner.settle(applied.id, refusal)

    async def _post(self, change_id: str, body: bytes) -> tuple[int, str | None]:
        """Answer status and `Retry-After`. Raises: CrmUnavailable, without what the network said: it names hosts."""
        headers = {SIGNATURE_HEADER: signature(self._secret, body, int(time.time())), "Idempotency-Key": change_id}
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._client.stream("POST", self._url, content=body, headers=headers) as response,
            ):
                await _drain(response)
                return response.status_code, response.headers.get("Retry-After")
        except PrivateAddress:
            reason = (
                f"the CRM webhook's host has an address that is not public: check CAUCE_CRM_WEBHOOK_URL, or {_IF_MEANT}"
            )
            raise CrmUnavailable(reason, SETTINGS_PATIENCE) from None
        except (httpx.HTTPError, OSError, UnicodeError) as error:  # a TimeoutError is an OSError
            raise CrmUnavailable(f"the CRM webhook gave no answer: {type(error).__name__}") from None


def _check(url: str, *, allow_private: bool) -> None:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("the CRM webhook's URL is not one: set CAUCE_CRM_WEBHOOK_URL, as https://crm.example.com/hook")
    if allow_private:
        return
    if parsed.scheme != "https":
        raise ValueError(
            f"the CRM webhook would not be encrypted: set CAUCE_CRM_WEBHOOK_URL to an https:// address, or {_IF_MEANT}"
        )
    try:
        public = is_public(parsed.host)
    except ValueError:  # a name, which is looked up each time
        return
    if not public:
        raise ValueError(
            f"the CRM webhook's address is not public: set CAUCE_CRM_WEBHOOK_URL to one that is, or {_IF_MEANT}"
        )


def _body(applied: AppliedChange) -> bytes:
    told = applied.model_dump(mode="json")
    return json.dumps(
        {
            "id": told["id"],
            "occurred_at": told["applied_at"],
            "kind": told["change"].pop("kind"),
            "contact_id": told["contact_id"],
            "enrollment_id": told["enrollment_id"],
            "flow": told["flow"],
            "step": told["step"],
            "change": told["change"],
            "result": told["result"],
        },
        ensure_ascii=False,
    ).encode()


async def _drain(response: httpx.Response) -> None:
    read = 0
    async for chunk in response.aiter_raw():
        read += len(chunk)
        if read > _READ_AT_MOST:
            return


def _judge(status: int, retry_after: str | None) -> str | None:
    """Why the receiver never wants the change; None if it has it. Raises: CrmUnavailable if it may want it later."""
    match status:
        case 409:  # it came before
            return None
        case 401:
            reason = "the CRM webhook answered 401: does the receiver have the secret of CAUCE_CRM_WEBHOOK_SECRET?"
            raise CrmUnavailable(reason, SETTINGS_PATIENCE)
        case _ if 200 <= status < 300:
            return None
        case _ if status < 400:
            # Not followed: another address was not checked, and a redirected POST may arrive as a GET.
            reason = f"the CRM webhook answered {status}: set CAUCE_CRM_WEBHOOK_URL to where it redirects"
            raise CrmUnavailable(reason, SETTINGS_PATIENCE)
        case 408 | 425 | 429:
            raise CrmUnavailable(f"the CRM webhook answered {status}", _patience(retry_after))
        case _ if status < 500:
            return f"the receiver answered {status}"
        case _:
            raise CrmUnavailable(f"the CRM webhook answered {status}", _patience(retry_after))


def _patience(retry_after: str | None) -> timedelta | None:
    """What `Retry-After` says, as seconds or as a date: between a second and an hour, or None if it says nothing."""
    if retry_after is None:
        return None
    try:
        if retry_after.strip().isdecimal():
            wait = timedelta(seconds=min(int(retry_after), MOST_PATIENCE.total_seconds()))
        else:
            until = parsedate_to_datetime(retry_after)
            wait = until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)
    except (ValueError, OverflowError):
        return None
    return min(max(wait, timedelta(seconds=1)), MOST_PATIENCE)
