"""The outbox: a folder that keeps every message as a file, for machines that send no email."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import UTC, datetime
from email import policy
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage as Rfc5322Message
from pathlib import Path
from tempfile import NamedTemporaryFile

from domain.messages import EmailMessage, MessageRejected, ProviderUnavailable, Receipt, one_line

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# 998 is the limit of RFC 5322. At 78 the standard library cuts long unsubscribe links into encoded words.
_POLICY = policy.SMTP.clone(max_line_length=998)


class OutboxMailer:
    """Keeps each message as `{message.id}.eml` in `folder`, which is made when missing, readable by its owner only.

    A file is whole and on disk once `send` returns. The id is a UUID in lower case, else the message is rejected.

    Idempotency: the first hand-over of an id is kept; later ones change nothing and get the same receipt.
    """

    name = "outbox"
    idempotent = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, message: EmailMessage) -> Receipt:
        path = eml_path(self._folder, message.id)
        if path is None:
            raise MessageRejected("outbox: the message id is not a UUID")
        try:
            content = _rfc5322(message).as_bytes()
        except (ValueError, IndexError, MessageError):
            # From None: the standard library quotes the address, and causes end up in Temporal.
            raise MessageRejected("outbox: an address or a text of this message cannot be written as email") from None
        try:
            _keep(path, content)
        except OSError as error:
            raise ProviderUnavailable(f"outbox: {error.strerror}: check the folder and its disk") from error
        return Receipt(provider=self.name, provider_message_id=message.id)

    def close(self) -> None:
        """Nothing is held open."""


def eml_path(folder: Path, message_id: str) -> Path | None:
    """Where a message is kept, or None for an id that is not a UUID, and so could name a file elsewhere."""
    return folder / f"{message_id}.eml" if _UUID.fullmatch(message_id) else None


def _rfc5322(message: EmailMessage) -> Rfc5322Message:
    sender = message.sender
    mail = Rfc5322Message(policy=_POLICY)
    mail["From"] = Address(one_line(sender.name), addr_spec=sender.email)
    mail["To"] = Address(one_line(message.to_name), addr_spec=message.to_email)
    mail["Subject"] = one_line(message.subject)
    mail["Date"] = datetime.now(UTC)
    mail["Message-ID"] = f"<{message.id}@{sender.email.rpartition('@')[2].encode('idna').decode()}>"
    if message.unsubscribe_url is not None:
        mail["List-Unsubscribe"] = f"<{one_line(message.unsubscribe_url)}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail["X-Cauce-Message"] = message.id
    mail["X-Cauce-Flow"] = one_line(message.flow)
    mail["X-Cauce-Step"] = one_line(message.step)
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    return mail


def _keep(path: Path, content: bytes) -> None:
    """Write a file durably, all or nothing; one that exists stays as it is."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".tmp") as draft:
        draft.write(content)
        draft.flush()
        os.fsync(draft.fileno())
        with suppress(FileExistsError):
            os.link(draft.name, path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
