"""A process that exits hard at a point that a test names, between one transaction and the next or inside one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from sqlmodel.ext.asyncio.session import AsyncSession

from store.database import Database
from tests.address_keys import ADDRESS_KEYS

HARD_EXIT = 77


class Points(NamedTuple):
    """What a test calls the moments around the end of one transaction."""

    before: str | None = None
    """It stands."""
    after: str | None = None


class CrashingDatabase(Database):
    """`points` are those of its transactions that write, in their order."""

    def __init__(self, url: str, crash: str | None, points: Sequence[Points]) -> None:
        super().__init__(url, ADDRESS_KEYS)
        self._crash = crash
        self._points = iter(points)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        points = next(self._points, Points())
        async with super().write() as session:
            yield session
            exit_at(points.before, self._crash)
        exit_at(points.after, self._crash)


def exit_at(point: str | None, crash: str | None) -> None:
    if crash is not None and crash == point:
        os._exit(HARD_EXIT)
