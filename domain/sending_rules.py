"""Whether and when a message may go to a contact: permission, frequency, sending hours, and what each was judged by.

Transactional messages are answers to what the contact did: neither hours nor frequency hold them up, nor do they count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from domain.consent import ConsentState
from domain.country_zones import known_zone
from domain.frequency import Allowance, Cap, Standing, next_allowed
from domain.messages import MessageClass, refusal
from domain.sending_hours import SendingHours, opening, send_at
from domain.suppressions import SuppressionReason


class SendingRules(BaseModel):
    """What an installation sets for all its flows. By default a message goes out when its flow comes to it."""

    model_config = ConfigDict(frozen=True)

    hours: SendingHours | None = None
    caps: Mapping[MessageClass, tuple[Cap, ...]] = Field(default_factory=dict)
    minimum_gap: timedelta = timedelta(0)
    sender_zone: str = "UTC"

    def looks_back(self, message_class: MessageClass) -> timedelta:
        """How long ago earlier messages may have gone out and still count; zero: none count."""
        caps = self.caps.get(message_class, ())
        return max((self.minimum_gap, *(cap.within for cap in caps)))


class Recipient(BaseModel):
    """A contact as the rules see them. `consent` is their latest word on the message's topic.

    `sent` are the moments at which earlier messages of its class, to them in any flow, were handed over; `sent_of_any`
    those of relationship and marketing messages.
    """

    model_config = ConfigDict(frozen=True)

    consent: ConsentState | None = None
    suppressions: frozenset[SuppressionReason] = frozenset()
    time_zone: str | None = None
    country: str | None = None
    sent: Sequence[datetime] = ()
    sent_of_any: Sequence[datetime] = ()


class Ruling(StrEnum):
    SEND = "send"
    DEFER = "defer"
    SKIP = "skip"


class HoursMet(BaseModel):
    """Sending hours as a message met them."""

    model_config = ConfigDict(frozen=True)

    time_zone: str
    time_zone_of: str = Field(description="contact, country or sender: whose it is")
    open: bool
    opens_at: datetime
    closes_at: datetime


class Decision(BaseModel):
    """A decision with the inputs it had. `reason` says why not, or why not yet; `until` is when to decide again."""

    model_config = ConfigDict(frozen=True)

    ruling: Ruling
    reason: str | None = None
    until: datetime | None = None
    decided_at: datetime
    message_class: MessageClass
    topic: str
    consent: ConsentState | None
    suppressions: frozenset[SuppressionReason]
    frequency: tuple[Standing, ...] = ()
    hours: HoursMet | None = None
    given_up: bool = Field(default=False, description="the provider was out of order for long: a task in its place")


def decide(
    message_class: MessageClass, topic: str, recipient: Recipient, rules: SendingRules, now: datetime, key: str
) -> Decision:
    """Decide on a message at this moment. `key`, its id, spreads messages that wait for the same opening."""
    known = Decision(
        ruling=Ruling.SEND,
        decided_at=now,
        message_class=message_class,
        topic=topic,
        consent=recipient.consent,
        suppressions=recipient.suppressions,
    )
    words = {} if recipient.consent is None else {topic: recipient.consent}
    if refused := refusal(message_class, topic, words, recipient.suppressions):
        return known.model_copy(update={"ruling": Ruling.SKIP, "reason": refused})
    if message_class is MessageClass.TRANSACTIONAL:
        return known
    allowance = _allowance(message_class, recipient, rules, now)
    hours = _hours(recipient, rules, now)
    known = known.model_copy(update={"frequency": allowance.standings, "hours": hours})
    at = _within_hours(allowance.at, recipient, rules, key)
    if at <= now:
        return known
    obstacle = allowance.obstacle
    reason = "quiet hours" if obstacle is None else _words(obstacle, message_class)
    return known.model_copy(update={"ruling": Ruling.DEFER, "reason": reason, "until": at})


def _allowance(message_class: MessageClass, recipient: Recipient, rules: SendingRules, now: datetime) -> Allowance:
    capped = next_allowed(now, recipient.sent, rules.caps.get(message_class, ()), timedelta(0))
    gap = next_allowed(now, recipient.sent_of_any, (), rules.minimum_gap)
    return Allowance(at=max(capped.at, gap.at), standings=(*gap.standings, *capped.standings))


def _hours(recipient: Recipient, rules: SendingRules, now: datetime) -> HoursMet | None:
    if rules.hours is None:
        return None
    zone = known_zone(recipient.time_zone, recipient.country, rules.sender_zone)
    begins, ends = opening(now, rules.hours, zone.zone, recipient.country)
    return HoursMet(time_zone=zone.zone, time_zone_of=zone.source, open=begins <= now, opens_at=begins, closes_at=ends)


def _within_hours(at: datetime, recipient: Recipient, rules: SendingRules, key: str) -> datetime:
    """The first moment from `at` that lies in sending hours; one that has to be waited for is spread."""
    if rules.hours is None:
        return at
    zone = known_zone(recipient.time_zone, recipient.country, rules.sender_zone).zone
    found = opening(at, rules.hours, zone, recipient.country)
    return at if found.begins <= at else send_at(found, key)


def _words(obstacle: Standing, message_class: MessageClass) -> str:
    if obstacle.rule == "minimum_gap":
        return "minimum gap between two messages"
    return f"frequency cap: {obstacle.count} {message_class} messages, and no more than {obstacle.limit} are allowed"
