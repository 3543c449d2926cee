"""Somebody of the team at a page: what it says, in their language and at their hours."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from babel import Locale
from pydantic import JsonValue

from api.console.pages import minute
from api.console.texts import TEXTS, of_locale
from domain.lead_rules import Mismatch
from domain.people import Person
from store.tables import ContactRow


class Reader:
    def __init__(self, person: Person) -> None:
        self.person = person
        self.language = of_locale(person.locale)
        self._zone = ZoneInfo(person.time_zone)

    def say(self, text: str, **values: object) -> str:
        return TEXTS[self.language][text].format(**values)

    def at(self, moment: datetime) -> str:
        return minute(moment, self.language, self._zone)

    def deadline(self, text: str, moment: datetime, held: bool) -> str:
        """What a page says of a deadline. On hold, nobody knows yet when it will be."""
        return self.say("answer_held") if held else self.say(text, moment=self.at(moment))

    def role(self, role: str) -> str:
        """As what somebody is asked; a role of an installation's own is called as there."""
        return TEXTS[self.language].get(f"role_{role}", role.replace("_", " "))

    def zone(self) -> str:
        return self.say("answer_zone", zone=self._zone.key)

    def facts(self, facts: Mapping[str, JsonValue], translated: Callable[[str], str] = str) -> list[tuple[str, str]]:
        """What is asked about, as labels and texts."""
        return [(_label(translated(name.replace("_", " "))), self._text(value)) for name, value in facts.items()]

    def contact(self, contact: ContactRow) -> list[tuple[str, str]]:
        """Who the contact is: no more than helps to decide."""
        name = " ".join(part for part in (contact.first_name, contact.last_name) if part)
        known = (
            ("contact", name or self.say("unnamed")),
            ("company", contact.company),
            ("country", contact.country and self._country(contact.country)),
        )
        return [(self.say(label), value) for label, value in known if value]

    def lead(self, contact: ContactRow, *, address: bool) -> list[tuple[str, str]]:
        """What a rep goes by; the address is for whoever has the lead."""
        known = (
            ("email", contact.email if address else None),
            ("region", contact.region),
            ("language", self._tongue(contact.locale)),
            ("score", str(contact.score)),
            ("lifecycle_stage", contact.lifecycle_stage),
        )
        facts = [(self.say(label), value) for label, value in known if value]
        return [*self.contact(contact), *facts, *self.facts(contact.attributes)]

    def mismatch(self, mismatch: Mismatch) -> str:
        """`País: Chile (la regla pide México)`."""
        names = {"country": self._country, "language": self._tongue}.get(mismatch.what, str)
        value = self.say("unknown") if mismatch.value is None else names(str(mismatch.value))
        bounds = (("from_bound", mismatch.least), ("to_bound", mismatch.most))
        wanted = (
            ", ".join(map(names, mismatch.among))
            if mismatch.among
            else " ".join(self.say(text, bound=bound) for text, bound in bounds if bound is not None)
        )
        return self.say("mismatch", what=self.say(mismatch.what), value=value, wanted=wanted)

    def _text(self, value: JsonValue) -> str:
        if isinstance(value, bool):
            return self.say("yes" if value else "no")
        if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
            return ", ".join(map(self._text, value))
        return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)

    def _country(self, code: str) -> str:
        return str(Locale(self.language).territories.get(code, code))

    def _tongue(self, locale: str) -> str:
        code = locale.partition("-")[0]
        return str(Locale(self.language).languages.get(code, code))


def _label(name: str) -> str:
    words = name.replace("_", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:]
