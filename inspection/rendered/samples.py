"""Whom messages are rendered for when nobody is written to: samples of contacts, and of people of the team."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from domain.contacts import DEFAULT_LOCALE, Contact
from domain.messages import Sender
from domain.people import Person

SENDER = Sender(
    name="Acme & Sons",
    email="hello@acme.example",
    postal_address="Av. Providencia 1234, Santiago, Chile",
    website="https://acme.example",
)
PUBLIC_URL = "https://news.acme.example"
NOBODYS_ID = "00000000-0000-7000-8000-000000000000"
_LONG = ("María de los Ángeles & " * 9)[:200].strip()
"""About as long as a contact's text may be."""


@dataclass(frozen=True)
class Question:
    """What a person of the team is asked about the contact of a sample."""

    person: Person
    subject: str
    facts: Sequence[tuple[str, str]] = ()
    until: datetime | None = None
    others: Sequence[str] = ()
    in_place_of: Sequence[str] = ()


@dataclass(frozen=True)
class Sample:
    """A reader: a person of the team who is asked a question about the contact, or the contact. `who` says of whom."""

    who: str
    contact: Contact
    question: Question


def sample_contact(locale: str = DEFAULT_LOCALE) -> Contact:
    """One of whom everything is known."""
    return Contact(
        id=NOBODYS_ID,
        email="ada@example.com",
        first_name="Ada",
        last_name="Lovelace",
        locale=locale,
        time_zone="America/Santiago",
        country="CL",
        region="Valparaíso",
        company="Analytical Engines",
    )


def sample_of(contact: Contact, locale: str) -> Sample:
    """A contact, and a question about them to a person who reads the locale."""
    words = _WORDS.get(locale.partition("-")[0], _WORDS[DEFAULT_LOCALE])
    return Sample(
        who="of whom everything is known",
        contact=contact,
        question=Question(
            person=_person("Rosa Pérez", locale),
            subject=words["subject"],
            facts=((words["offer"], "25"), (words["value"], "2400")),
            until=datetime(2026, 11, 24, 15, 0, tzinfo=ZoneInfo("America/Santiago")),
            others=("Luis Soto", "Eva Ek"),
            in_place_of=("Inma Soler",),
        ),
    )


def samples(locale: str) -> tuple[Sample, ...]:
    """Readers who differ in what is known of them. The first is the usual one."""
    usual = sample_of(sample_contact(locale), locale)
    bare = Sample(
        who="of whom nothing but the address is known",
        contact=Contact(id=NOBODYS_ID, email="ada@example.com", locale=locale),
        question=Question(person=usual.question.person, subject=usual.question.subject),
    )
    lengthy = Sample(
        who="whose name and company are as long as may be",
        contact=usual.contact.model_copy(
            update={"first_name": _LONG, "last_name": _LONG, "company": _LONG, "region": _LONG}
        ),
        question=Question(
            person=_person(_LONG, locale),
            subject=_LONG,
            facts=tuple((f"{_LONG} {number}", _LONG) for number in range(20)),
            until=usual.question.until,
            others=(_LONG,) * 10,
            in_place_of=(_LONG,) * 10,
        ),
    )
    return usual, bare, lengthy


def _person(name: str, locale: str) -> Person:
    return Person(id=NOBODYS_ID, email="rosa@example.com", name=name, locale=locale)


_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {"subject": "An offer over the limit", "offer": "offer (%)", "value": "lifetime value (€)"},
    "es": {"subject": "Una oferta mayor que el límite", "offer": "oferta (%)", "value": "valor del cliente (€)"},
}
"""What the sample of a question says, by language."""
