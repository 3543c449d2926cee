"""Why a message is where it is, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from domain.durations import in_words
from domain.frequency import Standing
from domain.messages import MessageClass, MessageStatus
from domain.sending_rules import Decision, HoursMet
from domain.trail import minute
from store.ledger_tables import MessageRow

_NEEDS = {
    MessageClass.TRANSACTIONAL: "Transactional: needs no consent, and neither hours nor frequency hold it up",
    MessageClass.RELATIONSHIP: "Relationship: goes out unless the contact opted out of {topic}",
    MessageClass.MARKETING: "Marketing: needs consent to {topic}",
}


def explained(row: MessageRow) -> list[str]:
    """From what was judged first to what became of it."""
    return [f"{sentence[0].upper()}{sentence[1:]}." for sentence in (*_judged(row), *_became(row))]


def _judged(row: MessageRow) -> Iterator[str]:
    try:
        decision = Decision.model_validate(row.decision)
    except ValidationError:  # of mail to people, and from before decisions were kept
        return
    yield f"{minute(decision.decided_at)}: {decision.ruling}" + (f", {decision.reason}" if decision.reason else "")
    needs = _NEEDS[decision.message_class].format(topic=decision.topic)
    if decision.message_class is not MessageClass.TRANSACTIONAL:
        needs += f"; their word is {decision.consent or 'none'}"
    yield needs
    suppressed = ", ".join(sorted(reason.replace("_", " ") for reason in decision.suppressions))
    yield f"the address is suppressed: {suppressed}" if suppressed else "the address is not suppressed"
    yield from (_frequency(standing) for standing in decision.frequency)
    if decision.hours is not None:
        yield _hours(decision.hours)


def _frequency(standing: Standing) -> str:
    rule = "minimum gap" if standing.rule == "minimum_gap" else f"cap of {standing.limit}"
    within = f"{rule} in {in_words(standing.within)}: {standing.count} went out"
    return within if standing.count < standing.limit else f"{within}, so not before {minute(standing.allows_at)}"


def _hours(hours: HoursMet) -> str:
    zone = f"{hours.time_zone}, the zone of the {hours.time_zone_of}"
    spell = f"{minute(hours.opens_at)} to {minute(hours.closes_at)}"
    return f"within sending hours ({zone}): {spell}" if hours.open else f"quiet hours ({zone}): next open {spell}"


def _became(row: MessageRow) -> Iterator[str]:
    for number, attempt in enumerate(row.attempts, 1):
        by = attempt.get("provider") or attempt.get("by") or "?"
        reason = f", {attempt['reason']}" if attempt.get("reason") else ""
        yield f"attempt {number}, {attempt.get('at')}: {attempt.get('outcome')} by {by}{reason}"
    if row.status in (MessageStatus.DEFERRED, MessageStatus.READY, MessageStatus.SENDING, MessageStatus.UNCONFIRMED):
        until = f" until {minute(row.deferred_until)}" if row.deferred_until else ""
        yield f"now {row.status}{until}" + (f": {row.reason}" if row.reason else "")
    else:
        yield f"in the end {row.status}" + (f": {row.reason}" if row.reason else "")
