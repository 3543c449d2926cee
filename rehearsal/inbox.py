"""What a contact, or a person of the team, received, for tests to look at."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.utils import parseaddr
from html import unescape
from typing import overload

from integrations.outbox.reader import Outbox, OutboxMessage

_HREF = re.compile(r"""\bhref\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)


@dataclass(frozen=True)
class Received:
    """One email as it arrived. `links` are the addresses that its HTML leads to, in order, each once."""

    step: str
    subject: str
    to: str
    sender: str
    html: str
    text: str
    headers: tuple[tuple[str, str], ...]

    @property
    def links(self) -> list[str]:
        return list(dict.fromkeys(unescape(double or single) for double, single in _HREF.findall(self.html)))


class Inbox(Sequence[Received]):
    """Emails, the oldest first."""

    def __init__(self, messages: Sequence[Received]) -> None:
        self.messages = list(messages)

    @classmethod
    def of(cls, outbox: Outbox) -> Inbox:
        """All that an outbox holds."""
        found = (outbox.read(summary.message_id) for summary in reversed(outbox.page(_ALL)))
        return cls([_received(message) for message in found if message is not None])

    def to(self, address: str) -> Inbox:
        """The emails to one address."""
        return Inbox([message for message in self if parseaddr(message.to)[1] == address])

    def besides(self, address: str) -> Inbox:
        """The emails to anybody else."""
        return Inbox([message for message in self if parseaddr(message.to)[1] != address])

    @property
    def steps(self) -> list[str]:
        """The steps that the emails are of."""
        return [message.step for message in self.messages]

    @property
    def subjects(self) -> list[str]:
        return [message.subject for message in self.messages]

    @overload
    def __getitem__(self, at: int) -> Received: ...
    @overload
    def __getitem__(self, at: slice) -> Inbox: ...
    def __getitem__(self, at: int | slice) -> Received | Inbox:
        return Inbox(self.messages[at]) if isinstance(at, slice) else self.messages[at]

    def __iter__(self) -> Iterator[Received]:
        return iter(self.messages)

    def __len__(self) -> int:
        return len(self.messages)

    def __repr__(self) -> str:
        return f"<inbox: {', '.join(f'{message.step} ({message.subject!r})' for message in self.messages) or 'empty'}>"


_ALL = 100_000


def _received(message: OutboxMessage) -> Received:
    return Received(**{field: getattr(message, field) for field in Received.__dataclass_fields__})
