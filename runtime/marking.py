"""Noting that enrollments were started: those of the same moment share a transaction, and so its sync to disk."""

from __future__ import annotations

import asyncio

from store.database import Database
from store.enrollments import mark_started


class StartMarks:
    """While a transaction is being written, whoever comes waits, and all who wait are in the next one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[str, asyncio.Future[bool]] = {}
        self._writing: asyncio.Task[None] | None = None

    async def mark(self, enrollment_id: str) -> bool:
        """Note that Temporal was told of an enrollment; answer whether it is still active."""
        marked = self._waiting.setdefault(enrollment_id, asyncio.get_running_loop().create_future())
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return await asyncio.shield(marked)

    async def _write(self) -> None:
        while self._waiting:
            now_marked, self._waiting = self._waiting, {}
            try:
                async with self._database.write() as session:
                    active = await mark_started(session, list(now_marked))
            except Exception as error:
                for marked in now_marked.values():
                    marked.set_exception(error)
            else:
                for enrollment_id, marked in now_marked.items():
                    marked.set_result(enrollment_id in active)
