"""Contacts with all that segments may ask of them, the same in any database and in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from pydantic import JsonValue
from sqlmodel import SQLModel

from domain.consent import ConsentState
from domain.flows import Exit
from domain.messages import MessageStatus
from domain.suppressions import SuppressionReason
from store.ledger_tables import MessageRow
from store.tables import ConsentRow, ContactRow, EnrollmentRow, ErasureRow, EventRow, SuppressionRow, month_of

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
"""When segments are judged."""
AGES = [timedelta(days=days, seconds=seconds) for days in (0, 1, 7, 30, 90, 400) for seconds in (0, 1)] + [
    timedelta(seconds=-1)
]
"""At the edges of what clauses ask for; one lies ahead."""
OWNERS = ("0193f0c2-0000-7000-8000-00000000000a", "0193f0c2-0000-7000-8000-00000000000b")
BROADCAST = "0193f0c2-0000-7000-8000-00000000000c"
FLOWS, EVENTS, TOPICS, STEPS = (
    ("onboarding", "nurturing"),
    ("clicked", "opened", "bought"),
    ("news", "tips"),
    ("a", "b"),
)
COMPANIES = ("Acme", "ACME", "acme_1", "acme%1", "Ácme", "ácme", "O'Neil", 'say "hi"', "\\", "/", "é", "", None)
ATTRIBUTES = ("plan", 'pl"an', "a.b", "año", "$", "[0]", "5", "\\", "-> x", "")
VALUES: tuple[JsonValue, ...] = (
    "5",
    5,
    5.0,
    0.1,
    -3,
    10**15,
    2**62,
    True,
    False,
    "true",
    "team",
    "TEAM",
    "O'Neil",
    "é",
    None,
    [5],
    {"a": 5},
)


@dataclass
class Person:
    """One contact and the rows about them."""

    contact: ContactRow
    events: list[EventRow] = field(default_factory=list)
    consents: list[ConsentRow] = field(default_factory=list)
    messages: list[MessageRow] = field(default_factory=list)
    enrollments: list[EnrollmentRow] = field(default_factory=list)
    suppressions: list[SuppressionRow] = field(default_factory=list)
    erasures: list[ErasureRow] = field(default_factory=list)

    def rows(self) -> Sequence[SQLModel]:
        return [
            self.contact,
            *self.events,
            *self.consents,
            *self.enrollments,
            *self.messages,
            *self.suppressions,
            *self.erasures,
        ]


def people(count: int, seed: int = 6) -> list[Person]:
    random = Random(seed)  # noqa: S311 (the same ones each time)
    return [_person(random, number) for number in range(count)]


def _ago(random: Random) -> datetime:
    return AT - random.choice(AGES)


def _few(random: Random, most: int) -> range:
    return range(random.randint(0, most))


def _person(random: Random, number: int) -> Person:
    contact = ContactRow(
        email=f"c{number}@{random.choice(['example.com', 'mail.example.com', 'a_b.test', 'axb.test'])}",
        locale=random.choice(["en", "es", "es-CL", "est"]),
        time_zone=random.choice([None, "America/Santiago", "Europe/Madrid"]),
        country=random.choice([None, "CL", "AR"]),
        region=random.choice([None, "Valparaíso"]),
        company=random.choice(COMPANIES),
        lifecycle_stage=random.choice([None, "lead", "customer"]),
        score=random.randint(-2, 3),
        owner_id=random.choice([None, *OWNERS]),
        attributes={random.choice(ATTRIBUTES): random.choice(VALUES) for _ in _few(random, 5)},
        created_at=_ago(random),
    )
    id_ = contact.id
    person = Person(contact)
    for at in _few(random, 6):
        properties = {random.choice(ATTRIBUTES): random.choice(VALUES) for _ in _few(random, 3)}
        name = random.choice(EVENTS)
        event = EventRow(
            id=f"{number}-{at}", contact_id=id_, name=name, occurred_at=_ago(random), properties=properties
        )
        person.events.append(event)
    for _ in _few(random, 3):
        state = random.choice(list(ConsentState))
        person.consents.append(
            ConsentRow(
                contact_id=id_,
                topic=random.choice(TOPICS),
                state=state,
                source="x",
                recorded_by="api",
                recorded_at=_ago(random),
            )
        )
    for flow in FLOWS:
        if random.random() < 0.5:
            ended = random.random() < 0.6
            person.enrollments.append(
                EnrollmentRow(
                    flow=flow,
                    contact_id=id_,
                    created_at=_ago(random),
                    status="ended" if ended else "active",
                    ended_at=_ago(random) if ended else None,
                    exit=random.choice([Exit.GOAL, Exit.COMPLETED]) if ended else None,
                )
            )
    person.messages += [_message(random, person, at) for at in _few(random, 4)]
    for reason in SuppressionReason:
        if random.random() < 0.08:
            person.suppressions.append(
                SuppressionRow(email_hash=f"{number:064}", reason=reason, source="x", contact_id=id_)
            )
    if random.random() < 0.05:
        person.erasures.append(ErasureRow(contact_id=id_, email_hash=f"{number:064}", requested_by="api"))
    return person


def _message(random: Random, person: Person, at: int) -> MessageRow:
    status = random.choice(list(MessageStatus))
    never = status in (MessageStatus.READY, MessageStatus.SKIPPED, MessageStatus.DEFERRED, MessageStatus.REJECTED)
    handed_over_at = _ago(random)
    broadcast_id = BROADCAST if at == 0 and random.random() < 0.3 else None
    return MessageRow(
        month=month_of(handed_over_at),
        flow=random.choice(FLOWS),
        contact_id=person.contact.id,
        broadcast_id=broadcast_id,
        person_id=random.choice([None, None, None, OWNERS[0]]),
        step=random.choice(STEPS),
        topic=random.choice([None, *TOPICS]),
        status=status,
        handed_over_at=None if never else handed_over_at,
    )
