"""Message templates: found in a folder, compiled once, rendered for one contact at a time.

    emails/<flow>/<message>/message.toml            class = "relationship", topic = "onboarding"
    emails/<flow>/<message>/<locale>/subject.txt    one line
    emails/<flow>/<message>/<locale>/body.mjml
    emails/layout/*.mjml                            parts for every locale, included by their file name
    emails/layout/<locale>/*.mjml                   parts in that language

Subject and body are Jinja. They see `contact`, `sender`, `unsubscribe_url`, and the fields of the flow's settings by
their own names. A value that is None prints as nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from domain.contacts import DEFAULT_LOCALE, Contact
from domain.flows import FlowSettings
from domain.messages import MessageClass, Sender
from emails.folder import Message, MessageType, path_in_project, read_messages
from emails.jinja_source import reserved_problems, settings_problems
from emails.plain_text import plain_text

EMAILS = Path(__file__).parent


class TemplateError(Exception):
    """Templates that cannot be sent. `problems` are lines that each name a file and what to do."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))


class UnknownMessage(LookupError):
    """No folder holds such a message."""


class Rendered(NamedTuple):
    """A message for one contact. `locale` is the template's, which may be a fallback of the contact's."""

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
    def load(cls, root: Path = EMAILS) -> Templates:
        """Read all messages below `root` and compile each body once.

        A faulty message does not keep the others from being sent: `check` tells of it, and `render` refuses it.
        """
        return cls(root, read_messages(root))

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
    ) -> Rendered:
        """Render a message in the contact's locale, else in its language, else in the default locale.

        `unsubscribe_url` may be None for transactional messages alone.
        Raises: UnknownMessage; TemplateError if the message is faulty; ValueError without a way to opt out.
        """
        found = self._find(flow, message)
        if found.type is None or found.problems:
            raise TemplateError(found.problems)
        if not unsubscribe_url and found.type.message_class is not MessageClass.TRANSACTIONAL:
            raise ValueError(f"{flow}/{message} is {found.type.message_class}: pass the contact's unsubscribe_url")
        language = contact.locale.partition("-")[0]
        locale = next(choice for choice in (contact.locale, language, DEFAULT_LOCALE) if choice in found.by_locale)
        context = {name: getattr(settings, name) for name in type(settings).model_fields}
        context |= {"contact": contact, "sender": sender, "unsubscribe_url": unsubscribe_url}
        html = found.by_locale[locale].html.render(context)
        subject = _one_line(found.by_locale[locale].subject.render(context))
        return Rendered(subject=subject, html=html, text=plain_text(html), locale=locale)

    def _find(self, flow: str, message: str) -> Message:
        if found := self._messages.get((flow, message)):
            return found
        known = ", ".join(name for owner, name in self._messages if owner == flow) or "none"
        raise UnknownMessage(f"{flow} has no message {message} (it has: {known}): add {self._folder(flow, message)}")

    def _folder(self, flow: str, message: str) -> str:
        return path_in_project(self._root, self._root / flow / message)


def _one_line(subject: str) -> str:
    """Put spaces for control characters and line ends: what a contact typed must not begin another header."""
    clean = "".join(" " if unicodedata.category(char) in {"Cc", "Zl", "Zp"} else char for char in subject)
    return " ".join(clean.split())
