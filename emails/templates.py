"""Message templates: found in a folder, compiled once, rendered for one reader at a time.

    emails/<flow>/<message>/message.toml            class = "relationship", topic = "onboarding"
    emails/<flow>/<message>/<locale>/subject.txt    one line
    emails/<flow>/<message>/<locale>/body.mjml
    emails/people/<message>/…                       the same, to people of the team: class = "transactional"
    emails/layout/*.mjml                            parts for every locale, included by their file name
    emails/layout/<locale>/*.mjml                   parts in that language

Subject and body are Jinja. They see `contact`, `sender`, `unsubscribe_url`, `confirm_url`, and the fields of the flow's
settings by their own names; what mails to people see, `Templates.render_for_person` says. A value that is None prints
as nothing.
Times are written by `{{ until|moment }}` and `{{ offer_valid_for|duration }}`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from domain.contacts import DEFAULT_LOCALE, Contact
from domain.flows import FlowSettings
from domain.messages import MessageClass, Sender
from domain.people import Person
from emails.folder import PEOPLE, Compiled, Message, MessageType, path_in_project, read_messages
from emails.jinja_source import reserved_problems, settings_problems
from emails.moments import READER, wording
from emails.plain_text import plain_text

EMAILS = Path(__file__).parent

PEOPLE_MESSAGES = (
    "approval",
    "approval-reminder",
    "approval-escalated",
    "task",
    "task-reminder",
    "lead-offer",
    "lead-given",
    "lead-unassigned",
)
"""What people of the team get, whatever the flow."""


class TemplateError(Exception):
    """Templates that cannot be sent. `problems` are lines that each name a file and what to do."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))


class UnknownMessage(LookupError):
    """No folder holds such a message."""


class Rendered(NamedTuple):
    """A message for one reader. `locale` is the template's, which may be a fallback of the reader's."""

    subject: str
    html: str
    text: str
    locale: str


class Templates:
    """Every message of the project. Threads may share it: nothing in it changes after `load`."""

    def __init__(self, root: Path, messages: Mapping[tuple[str, str], Message]) -> None:
        self._root = root
        self._messages = messages

    @classmethod
    def load(cls, root: Path = EMAILS, only: str | None = None) -> Templates:
        """Read all messages below `root`, or those of one flow, and compile each body once.

        A faulty message does not keep the others from being sent: `check` tells of it, and `render` refuses it.
        """
        return cls(root, read_messages(root, only))

    def check(self, flow: str, settings_model: type[FlowSettings], messages: Iterable[str] = ()) -> None:
        """Check all messages in the flow's folder, and that each of `messages` is among them.

        Raises: TemplateError, with every problem at once.
        """
        problems = reserved_problems(settings_model)
        for name in messages:
            if (flow, name) not in self._messages:
                problems.append(f"{self._folder(flow, name)} is missing, but {flow} sends it: add it or edit the flow")
        for (owner, _), message in self._messages.items():
            if owner == flow:
                problems += message.problems
                for source in message.sources:
                    problems += settings_problems(source, settings_model)
        if problems:
            raise TemplateError(problems)

    def check_message(self, flow: str, message: str, settings_model: type[FlowSettings]) -> None:
        """Check one message. Raises: UnknownMessage; TemplateError, with every problem at once."""
        found = self._find(flow, message)
        problems = list(found.problems)
        for source in found.sources:
            problems += settings_problems(source, settings_model)
        if problems:
            raise TemplateError(problems)

    def check_people(self) -> None:
        """Check all messages to people of the team, and that each of PEOPLE_MESSAGES is among them.

        Raises: TemplateError, with every problem at once.
        """
        problems = [
            f"{self._folder(PEOPLE, name)} is missing: add it"
            for name in PEOPLE_MESSAGES
            if (PEOPLE, name) not in self._messages
        ]
        for (owner, _), message in self._messages.items():
            if owner == PEOPLE:
                problems += message.problems
        if problems:
            raise TemplateError(problems)

    def topics(self, flow: str) -> frozenset[str]:
        """What the messages of a flow are about; those of faulty ones are left out."""
        types = (message.type for (owner, _), message in self._messages.items() if owner == flow)
        return frozenset(kind.topic for kind in types if kind is not None)

    def message(self, flow: str, message: str) -> MessageType:
        """Raises: UnknownMessage; TemplateError if its message.toml is faulty."""
        found = self._find(flow, message)
        if found.type is None:
            raise TemplateError(found.problems)
        return found.type

    def render(
        self,
        flow: str,
        message: str,
        *,
        contact: Contact,
        sender: Sender,
        settings: FlowSettings,
        unsubscribe_url: str | None,
        links: Mapping[str, str] | None = None,
    ) -> Rendered:
        """Render a message in the contact's locale, else in its language, else in the default locale.

        `unsubscribe_url` may be None for transactional messages alone; `links` are others that templates name.
        Raises: UnknownMessage; TemplateError if the message is faulty; ValueError without a way to opt out.
        """
        kind = self.message(flow, message).message_class
        if not unsubscribe_url and kind is not MessageClass.TRANSACTIONAL:
            raise ValueError(f"{flow}/{message} is {kind}: pass the contact's unsubscribe_url")
        context = {name: getattr(settings, name) for name in type(settings).model_fields}
        context |= {"contact": contact, "sender": sender, "unsubscribe_url": unsubscribe_url, **(links or {})}
        return self._render(flow, message, contact.locale, context)

    def render_for_person(
        self,
        message: str,
        *,
        person: Person,
        contact: Contact,
        sender: Sender,
        subject: str,
        facts: Sequence[tuple[str, str]],
        url: str,
        until: datetime | None,
        others: Sequence[str],
        in_place_of: Sequence[str] = (),
    ) -> Rendered:
        """Render a message to a person of the team, in their locale as `render` does in a contact's.

        `subject` says what is asked, in the language of the flow's author; `facts` are labels and values of it; `url`
        is where the person answers; `until` is aware, and written in its own time zone; `others` are names of those
        who are asked too, `in_place_of` of those whose decision the person has. `contact` is whom it is about.
        Raises: UnknownMessage; TemplateError if the message is faulty.
        """
        context = {"person": person, "contact": contact, "sender": sender, "subject": subject, "facts": facts}
        context |= {"url": url, "until": until, "others": others, "in_place_of": in_place_of}
        return self._render(PEOPLE, message, person.locale, context)

    def locales(self, flow: str, message: str) -> frozenset[str]:
        """Those that a sound message is written in. Raises: UnknownMessage, TemplateError."""
        return frozenset(self._sound(flow, message).by_locale)

    def written_for(self, flow: str, message: str, asked: str) -> tuple[str, Compiled]:
        """What a reader of a locale gets, and in which it is written. Raises: UnknownMessage, TemplateError."""
        by_locale = self._sound(flow, message).by_locale
        locale = next(choice for choice in (asked, asked.partition("-")[0], DEFAULT_LOCALE) if choice in by_locale)
        return locale, by_locale[locale]

    def _render(self, flow: str, message: str, asked: str, context: dict[str, Any]) -> Rendered:
        locale, compiled = self.written_for(flow, message, asked)
        context[READER] = wording(asked, locale)
        html = compiled.html.render(context)
        subject = one_line_subject(compiled.subject.render(context))
        return Rendered(subject=subject, html=html, text=plain_text(html), locale=locale)

    def _sound(self, flow: str, message: str) -> Message:
        found = self._find(flow, message)
        if found.type is None or found.problems:
            raise TemplateError(found.problems)
        return found

    def _find(self, flow: str, message: str) -> Message:
        if found := self._messages.get((flow, message)):
            return found
        known = ", ".join(name for owner, name in self._messages if owner == flow) or "none"
        raise UnknownMessage(f"{flow} has no message {message} (it has: {known}): add {self._folder(flow, message)}")

    def _folder(self, flow: str, message: str) -> str:
        return path_in_project(self._root, self._root / flow / message)


def one_line_subject(subject: str) -> str:
    """Put spaces for control characters and line ends: what a contact typed must not begin another header."""
    clean = "".join(" " if unicodedata.category(char) in {"Cc", "Zl", "Zp"} else char for char in subject)
    return " ".join(clean.split())
