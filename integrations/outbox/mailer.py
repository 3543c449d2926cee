"""The outbox: a folder that keeps every message as a file, for machines that send no email."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from email import policy
from pathlib import Path
from tempfile import NamedTemporaryFile

from domain.messages import EmailMessage, MessageRejected, ProviderUnavailable, Receipt
from integrations.mime import mime_bytes

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
        content = mime_bytes(message, _POLICY, id_header="X-Cauce-Message")
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
