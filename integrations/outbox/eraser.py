"""Erasure of somebody from the outbox."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

from domain.erasure import Asked, ProviderReply
from domain.messages import ProviderUnavailable
from integrations.outbox.mailer import eml_path

_ABANDONED_AFTER = timedelta(hours=1)


class OutboxEraser:
    """Deletes the files of messages from `folder`, and drafts that a killed worker has left there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def erase(self, email: str, message_ids: Collection[str]) -> ProviderReply:
        paths = (eml_path(self._folder, message_id) for message_id in message_ids)
        try:
            for path in paths:
                if path is not None:
                    path.unlink(missing_ok=True)
            for draft in self._folder.glob(".*.tmp"):
                # Whoever's it is: a message is written in a moment, or never.
                if draft.stat().st_mtime < time.time() - _ABANDONED_AFTER.total_seconds():
                    draft.unlink(missing_ok=True)
        except OSError as error:
            raise ProviderUnavailable(f"outbox: {error.strerror}: check the folder and its disk") from error
        return ProviderReply(outcome=Asked.ERASED, detail=f"messages: {len(message_ids)}")

    def close(self) -> None:
        """Nothing is held open."""
