"""Noting that enrollments were started: those of the same moment share a transaction, and so its sync to disk."""

from __future__ import annotations

import asyncio

from runtime.runs import TemporalUnavailable
from store.database import Database
from store.enrollments import mark_started

PATIENCE_SECONDS = 10.0
"""For a transaction: a row that somebody has locked must not keep those of all others waiting."""


class StartMarks:
    """While a transaction is being written, whoever comes waits, and all who wait are in the next one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._one_at_a_time = asyncio.Lock()
        self._next: tuple[set[str], asyncio.Task[frozenset[str]]] | None = None

    async def mark(self, enrollment_id: str) -> bool:
        """Note that Temporal was told of an enrollment; answer whether it is still active.

        Raises: TemporalUnavailable if that could not be written in time: it counts as not told, and the sweep will.
        """
        if self._next is None:
            ids: set[str] = set()
            self._next = ids, asyncio.create_task(self._write(ids))
        ids, writing = self._next
        ids.add(enrollment_id)
        return enrollment_id in await asyncio.shield(writing)

    async def _write(self, ids: set[str]) -> frozenset[str]:
        async with self._one_at_a_time:
            self._next = None
            try:
                async with asyncio.timeout(PATIENCE_SECONDS), self._database.write() as session:
                    return await mark_started(session, list(ids))
            except TimeoutError:
                raise TemporalUnavailable("the note that enrollments were started could not be written") from None
