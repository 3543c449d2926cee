"""What the outbox holds, for people who look into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from email import policy
from email.message import EmailMessage as Rfc5322Message
from email.parser import BytesParser
from itertools import islice
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from integrations.outbox.mailer import eml_path

T = TypeVar("T")


class OutboxSummary(BaseModel):
    """One message in a list. `sender` and `to` read `Name <address>`; `date` is when it was handed over."""

    model_config = ConfigDict(frozen=True)

    message_id: str
    sender: str
    to: str
    subject: str
    date: datetime
    flow: str
    step: str


class OutboxMessage(OutboxSummary):
    """One message in full. `headers` are decoded, in the order of the file; lines of the parts end with `\\n`."""

    headers: tuple[tuple[str, str], ...]
    text: str
    html: str


class Outbox:
    """Reads a folder that `OutboxMailer` writes, while it writes.

    Whatever else lies in the folder is passed over: drafts, other people's files, unreadable ones.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def page(self, limit: int, before: str | None = None) -> list[OutboxSummary]:
        """The newest messages first, at most `limit`; `before` is the last message id of the page before this one.

        Newest first is by id: ids are UUIDs of version 7, which sort by time.
        """
        ids = (message_id for message_id in self._ids() if before is None or message_id < before)
        summaries = (self._parse(message_id, _summary) for message_id in ids)
        return list(islice((summary for summary in summaries if summary is not None), limit))

    def raw(self, message_id: str) -> bytes | None:
        """A file's bytes as they were kept, or None when the outbox has no such message."""
        path = eml_path(self._folder, message_id)
        try:
            return path.read_bytes() if path is not None else None
        except OSError:
            return None

    def read(self, message_id: str) -> OutboxMessage | None:
        """One message, parsed, or None when the outbox has no such message."""
        return self._parse(message_id, _message)

    def _parse(self, message_id: str, build: Callable[[Rfc5322Message], T]) -> T | None:
        raw = self.raw(message_id)
        if raw is None:
            return None
        try:
            mail = BytesParser(policy=policy.default).parsebytes(raw)
            return build(mail) if mail["X-Cauce-Message"] == message_id else None
        except Exception:
            # The standard library's parser raises almost anything on junk, IndexError and AttributeError included.
            return None

    def _ids(self) -> Iterator[str]:
        paths = sorted(self._folder.glob("*.eml"), reverse=True)
        return (path.stem for path in paths)


def _summary(mail: Rfc5322Message) -> OutboxSummary:
    return OutboxSummary(
        message_id=mail["X-Cauce-Message"],
        sender=mail["From"],
        to=mail["To"],
        subject=mail["Subject"],
        date=mail["Date"].datetime,
        flow=mail["X-Cauce-Flow"],
        step=mail["X-Cauce-Step"],
    )


def _message(mail: Rfc5322Message) -> OutboxMessage:
    return OutboxMessage(
        **dict(_summary(mail)),
        headers=tuple((name, str(value)) for name, value in mail.items()),
        text=_part(mail, "plain"),
        html=_part(mail, "html"),
    )


def _part(mail: Rfc5322Message, kind: str) -> str:
    part = mail.get_body((kind,))
    content = part.get_content() if part is not None else ""
    return str(content).replace("\r\n", "\n")
