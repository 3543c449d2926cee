"""What a segment means, said a second time: plain Python over one contact, clause by clause, as slow as it likes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from tests.store.segment_world import AT, Person

_DURATION: TypeAdapter[timedelta] = TypeAdapter(timedelta)
_MOMENT: TypeAdapter[datetime] = TypeAdapter(datetime)
_DELIVERED = ("delivered", "opened", "clicked", "complained")
_REACHED = {
    "sent": ("sent", "dropped", "bounced", *_DELIVERED),
    "delivered": _DELIVERED,
    "opened": ("opened", "clicked"),
    "clicked": ("clicked",),
}
_NOT_THERE = object()


def is_inside(predicate: Mapping[str, Any], person: Person) -> bool:
    return holds(predicate, person) and not person.erasures


def holds(predicate: Mapping[str, Any], person: Person) -> bool:
    """Of the predicate in JSON, as it was before any model of ours has read it."""
    return bool(globals()[f"_{predicate['kind']}"](predicate, person))


def _all(predicate: Mapping[str, Any], person: Person) -> bool:
    return all(holds(each, person) for each in predicate["of"])


def _any(predicate: Mapping[str, Any], person: Person) -> bool:
    return any(holds(each, person) for each in predicate["of"])


def _not(predicate: Mapping[str, Any], person: Person) -> bool:
    return not holds(predicate["of"], person)


def _contact(clause: Mapping[str, Any], person: Person) -> bool:
    contact = person.contact
    match clause["field"]:
        case "created_at":
            if "before" in clause:
                return contact.created_at < _MOMENT.validate_python(clause["before"])
            if "after" in clause:
                return contact.created_at > _MOMENT.validate_python(clause["after"])
            return _recent(contact.created_at, clause)
        case "email_domain":
            value: Any = contact.email.split("@")[1]
        case "language":
            value = contact.locale.split("-")[0]
        case "owner":
            value = contact.owner_id
        case field:
            value = getattr(contact, field)
    return _compared(clause, value if value not in (None, "") else _NOT_THERE)


def _attribute(clause: Mapping[str, Any], person: Person) -> bool:
    value = person.contact.attributes.get(clause["name"])
    return _compared(clause, _NOT_THERE if value is None else value)


def _compared(clause: Mapping[str, Any], value: Any) -> bool:
    if "is" in clause:
        return _same(value, clause["is"])
    if "is_not" in clause:
        return not _same(value, clause["is_not"])
    if "is_one_of" in clause:
        return any(_same(value, each) for each in clause["is_one_of"])
    if "is_known" in clause:
        return (value is not _NOT_THERE) is clause["is_known"]
    if "contains" in clause:
        return isinstance(value, str) and _folded(clause["contains"]) in _folded(value)
    if "starts_with" in clause:
        return isinstance(value, str) and _folded(value).startswith(_folded(clause["starts_with"]))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return bool(value >= clause["at_least"] if "at_least" in clause else value <= clause["at_most"])


def _same(one: Any, other: Any) -> bool:
    def type_of(value: Any) -> str:
        return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__

    return type_of(one) == type_of(other) and one == other


def _folded(text: str) -> str:
    return "".join(chr(ord(sign) + 32) if "A" <= sign <= "Z" else sign for sign in text)


def _consent(clause: Mapping[str, Any], person: Person) -> bool:
    words = [word for word in person.consents if word.topic == clause["topic"] and word.recorded_at <= AT]
    latest = max(words, key=lambda word: (word.recorded_at, word.id), default=None)
    return bool(clause["state"] == ("none" if latest is None else latest.state))


def _event(clause: Mapping[str, Any], person: Person) -> bool:
    found = [
        event
        for event in person.events
        if _recent(event.occurred_at, clause)
        and clause.get("name") in (None, event.name)
        and not (clause.get("acts_only") and event.name == "opened")
        and ("where" not in clause or _same(event.properties.get(clause["where"]["property"]), clause["where"]["is"]))
    ]
    return _enough(clause, found)


def _message(clause: Mapping[str, Any], person: Person) -> bool:
    reached = clause.get("reached", "handed_over")
    found = [
        message
        for message in person.messages
        if message.person_id is None
        and message.handed_over_at is not None
        and _recent(message.handed_over_at, clause)
        and all(
            clause.get(name) in (None, getattr(message, name)) for name in ("flow", "step", "topic", "broadcast_id")
        )
        and (reached == "handed_over" or message.status in _REACHED[reached])
    ]
    return _enough(clause, found)


def _enrollment(clause: Mapping[str, Any], person: Person) -> bool:
    state = clause.get("state", "active")
    for enrollment in person.enrollments:
        moment = enrollment.ended_at if state == "ended" else enrollment.created_at
        if (
            state in ("ever", enrollment.status)
            and clause.get("flow") in (None, enrollment.flow)
            and clause.get("exit") in (None, enrollment.exit)
            and ("within" not in clause or (moment is not None and _recent(moment, clause)))
        ):
            return True
    return False


def _suppression(clause: Mapping[str, Any], person: Person) -> bool:
    return any(clause.get("reason") in (None, each.reason) for each in person.suppressions)


def _recent(moment: datetime, clause: Mapping[str, Any]) -> bool:
    return moment <= AT and ("within" not in clause or moment > AT - _DURATION.validate_python(clause["within"]))


def _enough(clause: Mapping[str, Any], found: Iterable[object]) -> bool:
    count = len(list(found))
    if "exactly" in clause:
        return bool(count == clause["exactly"])
    return bool(count <= clause["at_most"] if "at_most" in clause else count >= clause.get("at_least", 1))
