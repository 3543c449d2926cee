"""The months of the ledger and of events are made in time; what the settings keep no longer is dropped."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from domain.durations import in_words
from domain.flows import FlowType
from runtime.settings import Settings, SettingsError
from store.database import Database
from store.partitions import Busy, keep_months
from store.retention import Kept, delete_old_rows, drop_old_months
from store.tables import now

logger = logging.getLogger(__name__)

_PAUSE = timedelta(hours=1)
_AGAIN = timedelta(minutes=1)
_BREATH = timedelta(milliseconds=100)
"""Between two pieces of what is deleted row by row: others write too."""


def kept(settings: Settings) -> Kept:
    """What is kept at this moment."""
    events, messages = settings.keep_events, settings.keep_messages
    return Kept(
        events_since=None if events is None else now() - events,
        messages_since=None if messages is None else now() - messages,
    )


def require_enough(settings: Settings, flows: Mapping[str, FlowType]) -> None:
    """Raises: SettingsError if events are kept for less time than a flow of the code looks back."""
    for name, flow in flows.items():
        for what, needed in _looked_back(flow):
            if settings.keep_events is not None and settings.keep_events <= needed:
                raise SettingsError(
                    f"CAUCE_KEEP_EVENTS: {in_words(settings.keep_events)} is too short for {name},"
                    f" whose {what} looks back {in_words(needed)}"
                )


@asynccontextmanager
async def retaining(settings: Settings, database: Database) -> AsyncIterator[None]:
    """Inside the block, at its begin and every hour: drop what is kept no longer, and make months that are missing.

    Several workers may do it at once.
    """
    keeping = asyncio.create_task(_keep(settings, database))
    try:
        yield
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


async def _keep(settings: Settings, database: Database) -> None:
    while True:
        pause = _PAUSE
        try:
            await _once(kept(settings), database)
        except Busy as busy:
            logger.info("months left for later: %s", busy)
            pause = _AGAIN
        except SQLAlchemyError as error:
            # Of a database that is away, or of a user who may not make tables: months are there for two to come.
            logger.warning("months left for later: %s", type(error).__name__)
            pause = _AGAIN
        await asyncio.sleep(pause.total_seconds())


async def _once(what: Kept, database: Database) -> None:
    for name in await drop_old_months(database, what):
        logger.info("dropped", extra={"partition": name})
    deleted = Counter[str]()
    try:
        async for table, rows in delete_old_rows(database, what):
            deleted[table] += rows
            await asyncio.sleep(_BREATH.total_seconds())
    finally:
        if deleted:
            logger.info("deleted", extra={"rows": dict(deleted)})
    for name in await keep_months(database):
        logger.info("made", extra={"partition": name})


def _looked_back(flow: FlowType) -> Iterator[tuple[str, timedelta]]:
    if flow.enrolls is not None:
        yield "daily enrollment", flow.enrolls.inactive_for
    for trigger in flow.triggers:
        if trigger.within is not None:
            yield "trigger", trigger.within
