"""SendGrid's webhook events in our own words.

Source: Twilio SendGrid, "Event Webhook Reference" and "Drops", read 2026-11.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from pydantic import JsonValue

from domain.automated_acts import known_agent
from domain.deliveries import DeliveryEvent, DeliveryKind, Sign
from integrations.sendgrid.event_body import cut, members

PROVIDER = "sendgrid"
_KINDS = {
    "processed": DeliveryKind.PROCESSED,
    "deferred": DeliveryKind.DEFERRED,
    "delivered": DeliveryKind.DELIVERED,
    "open": DeliveryKind.OPENED,
    "click": DeliveryKind.CLICKED,
    "bounce": DeliveryKind.BOUNCED,
    "dropped": DeliveryKind.DROPPED,
    "spamreport": DeliveryKind.COMPLAINED,
    "unsubscribe": DeliveryKind.UNSUBSCRIBED,
    "group_unsubscribe": DeliveryKind.UNSUBSCRIBED,
    "group_resubscribe": DeliveryKind.RESUBSCRIBED,
}
_LEAVES_BY = {
    DeliveryKind.BOUNCED: "bounced",
    DeliveryKind.COMPLAINED: "complained",
    DeliveryKind.UNSUBSCRIBED: "unsubscribed",
}
_DROPPED_SINCE = {
    "bounced address": "bounced",
    "invalid": "bounced",
    "spam reporting address": "complained",
    "unsubscribed address": "unsubscribed",
}
"""SendGrid drops what goes to an address on one of its own lists: so it is on ours from then on."""
_ID = re.compile(r"[!-~]{1,100}")
_WORDS = re.compile(r"[A-Za-z][A-Za-z /-]{0,60}")
"""SendGrid's own: what a server answered may quote the address, has digits or an @ in it, and stays out."""
_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
_OF_A_PERSON = frozenset({"email", "ip", "useragent", "url"})
_ADDRESS = re.compile(r"[^\s<>\"',;:]{1,64}@[^\s<>\"',;:]{1,255}")
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC).timestamp(), datetime(2100, 1, 1, tzinfo=UTC).timestamp()
_MAX_URL = 2000
_MAX_AGENT = 500


def read_events(body: bytes, received_at: datetime) -> list[DeliveryEvent]:
    """The events of a webhook request, in its order, repetitions and junk among them. Never raises.

    `received_at` stands for when junk occurred. A member without a usable id gets a digest of itself for one: repeated,
    it is the same event.
    """
    return [_event(member, received_at) for member in members(body)]


def _event(member: JsonValue, received_at: datetime) -> DeliveryEvent:
    fields = member if isinstance(member, dict) else {}
    name, occurred_at, raw = fields.get("event"), _moment(fields.get("timestamp")), cut(member)
    if not isinstance(name, str) or occurred_at is None:
        return DeliveryEvent(
            id=_digest(member),
            provider=PROVIDER,
            kind=DeliveryKind.JUNK,
            occurred_at=received_at,
            raw=raw,
            raw_of_nobody=_of_nobody(raw),
        )
    kind = _kind(name, fields)
    event_id = fields.get("sg_event_id")
    return DeliveryEvent(
        id=f"{PROVIDER}:{event_id}" if isinstance(event_id, str) and _ID.fullmatch(event_id) else _digest(member),
        provider=PROVIDER,
        kind=kind,
        occurred_at=occurred_at,
        message_id=_uuid(fields.get("cauce_message_id")),
        provider_message_id=_provider_message_id(fields.get("sg_message_id")),
        address=_address(fields.get("email")),
        url=_url(fields.get("url")) if kind is DeliveryKind.CLICKED else None,
        reason=_reason(kind, fields),
        sign=_sign(kind, fields),
        leaves_by=_leaves_by(kind, fields),
        raw=raw,
        raw_of_nobody=_of_nobody(raw),
    )


def _kind(name: str, fields: Mapping[str, JsonValue]) -> DeliveryKind:
    kind = _KINDS.get(name, DeliveryKind.UNKNOWN)
    blocked = kind is DeliveryKind.BOUNCED and fields.get("type") == "blocked"
    return DeliveryKind.BLOCKED if blocked else kind


def _leaves_by(kind: DeliveryKind, fields: Mapping[str, JsonValue]) -> str | None:
    if kind is DeliveryKind.DROPPED:
        return _DROPPED_SINCE.get(_text(fields, "reason").lower())
    return _LEAVES_BY.get(kind)


def _sign(kind: DeliveryKind, fields: Mapping[str, JsonValue]) -> Sign | None:
    if kind not in (DeliveryKind.OPENED, DeliveryKind.CLICKED):
        return None
    if fields.get("sg_machine_open") is True:
        return Sign.PROVIDER
    return Sign.AGENT if known_agent(_text(fields, "useragent")[:_MAX_AGENT]) else None


def _reason(kind: DeliveryKind, fields: Mapping[str, JsonValue]) -> str | None:
    """Why a message did not arrive, in SendGrid's own words and codes."""
    if kind is DeliveryKind.DROPPED:
        return _known_words(fields, "reason") or None
    if kind not in (DeliveryKind.BOUNCED, DeliveryKind.BLOCKED):
        return None
    status = _text(fields, "status")
    told = [_known_words(fields, "bounce_classification"), status if _STATUS.fullmatch(status) else ""]
    refused = ["refused by the receiving server"] if kind is DeliveryKind.BLOCKED else []
    return ", ".join(filter(None, [*refused, *told])) or None


def _known_words(fields: Mapping[str, JsonValue], name: str) -> str:
    words = _text(fields, name)
    return words if _WORDS.fullmatch(words) else ""


def _text(fields: Mapping[str, JsonValue], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _moment(value: JsonValue) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _FIRST <= value < _LAST:
        return None
    return datetime.fromtimestamp(value, UTC)


def _uuid(value: JsonValue) -> str | None:
    try:
        return str(UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def _provider_message_id(value: JsonValue) -> str | None:
    """What `X-Message-Id` said when the message was handed over: all before the first dot."""
    told = value.partition(".")[0] if isinstance(value, str) else ""
    return told if _ID.fullmatch(told) else None


def _address(value: JsonValue) -> str | None:
    return value.strip().lower() if isinstance(value, str) and _ADDRESS.fullmatch(value.strip()) else None


def _url(value: JsonValue) -> str | None:
    return value[:_MAX_URL] if isinstance(value, str) else None


def _of_nobody(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return _ADDRESS.sub("…@…", value) if "@" in value else value
    if isinstance(value, dict):
        return {name: _of_nobody(inner) for name, inner in value.items() if name not in _OF_A_PERSON}
    if isinstance(value, list):
        return [_of_nobody(inner) for inner in value]
    return value


def _digest(member: JsonValue) -> str:
    canonical = json.dumps(member, sort_keys=True, separators=(",", ":"))
    return f"{PROVIDER}:sha256-{hashlib.sha256(canonical.encode()).hexdigest()}"
