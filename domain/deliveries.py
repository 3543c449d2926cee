"""What providers tell of a message after they took it, in one vocabulary for all, and what the message comes to.

Providers tell late, twice and in any order. So nothing here is a step from one state to the next: a message's state
is a function of the set of its events, and the same set always gives the same answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pydantic import JsonValue

from domain.messages import REACHED, MessageStatus


class DeliveryKind(StrEnum):
    PROCESSED = "processed"
    """The provider took it and will try to deliver it."""
    DEFERRED = "deferred"
    """The receiving server asked to come back later; the provider does."""
    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    BOUNCED = "bounced"
    """The address is dead."""
    BLOCKED = "blocked"
    """The receiving server refused this message; the address may be good."""
    DROPPED = "dropped"
    """The provider did not even try."""
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    RESUBSCRIBED = "resubscribed"
    UNKNOWN = "unknown"
    """Of a type that we have no word for."""
    JUNK = "junk"
    """Nothing that can be read as an event."""


class Sign(StrEnum):
    """What tells that a machine opened or clicked."""

    PROVIDER = "provider"
    """The provider says so."""
    AGENT = "agent"
    """The user agent is one of a scanner or privacy proxy."""
    TOO_FAST = "too_fast"
    """Nobody reads that fast after the delivery."""
    MANY_LINKS = "many_links"
    """Nobody clicks so many links at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryEvent:
    """One event, normalised once, where it comes in.

    `id` is unique among all events and, for one that is repeated, the same. `sign` is what the event tells by itself.
    `reason` is why a message did not arrive, in words that name nobody. `leaves_by` is the event of the contact
    (`domain.events`) that this one amounts to, if they leave by it. `raw` is what the provider sent, `raw_of_nobody`
    the same without what tells of a person: for an event that names no message of ours.
    """

    id: str
    provider: str
    kind: DeliveryKind
    occurred_at: datetime
    message_id: str | None = None
    provider_message_id: str | None = None
    address: str | None = None
    url: str | None = None
    reason: str | None = None
    sign: Sign | None = None
    leaves_by: str | None = None
    raw: JsonValue
    raw_of_nobody: JsonValue


class Told(NamedTuple):
    """What the state of a message needs to know of one of its events."""

    id: str
    kind: DeliveryKind
    occurred_at: datetime
    url: str | None
    reason: str | None


class Reached(NamedTuple):
    """What a message has come to, why if it did not arrive, and since when a provider surely has it."""

    status: MessageStatus
    reason: str | None
    since: datetime


class Acts(NamedTuple):
    """Whether people opened and clicked a message, and whether machines did."""

    opened: bool
    clicked: bool
    machine_opened: bool
    machine_clicked: bool


_COMES_TO = {
    DeliveryKind.DROPPED: MessageStatus.DROPPED,
    DeliveryKind.DELIVERED: MessageStatus.DELIVERED,
    DeliveryKind.OPENED: MessageStatus.OPENED,
    DeliveryKind.CLICKED: MessageStatus.CLICKED,
    DeliveryKind.BOUNCED: MessageStatus.BOUNCED,
    DeliveryKind.BLOCKED: MessageStatus.BOUNCED,
    DeliveryKind.COMPLAINED: MessageStatus.COMPLAINED,
}
"""Any other event proves that the provider has the message, and no more than that."""
_RANKS = {status: rank for rank, status in enumerate(REACHED)}


def reached(told: Collection[Told], signs: Mapping[str, Sign], *, count_automated: bool = False) -> Reached:
    """What these events, all that are known of one message, make of it: the furthest that any of them tells.

    `signs` says by id which of them machines did (`domain.automated_acts`): these prove that the provider has the
    message, and count for more only if `count_automated`. More events never take a message back, but for one case: a
    later one may prove that an open or click was a machine's, which takes that back.
    """

    def comes_to(event: Told) -> MessageStatus:
        ignored = event.id in signs and not count_automated
        return MessageStatus.SENT if ignored else _COMES_TO.get(event.kind, MessageStatus.SENT)

    deciding = min(told, key=lambda event: (-_RANKS[comes_to(event)], event.occurred_at, event.id))
    return Reached(comes_to(deciding), deciding.reason, min(event.occurred_at for event in told))


def who_acted(told: Collection[Told], signs: Mapping[str, Sign]) -> Acts:
    """Who opened and clicked, by all that is known of one message. `signs` says by id what machines did."""
    did = {(event.kind, event.id in signs) for event in told}
    return Acts(
        opened=(DeliveryKind.OPENED, False) in did,
        clicked=(DeliveryKind.CLICKED, False) in did,
        machine_opened=(DeliveryKind.OPENED, True) in did,
        machine_clicked=(DeliveryKind.CLICKED, True) in did,
    )
