"""Looks at all of the segments that triggers watch: time alone brings contacts into them too, and so does the ledger.

Everything here may be done twice, and by several processes at once: a contact enters a segment once.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from runtime.dispatch import Dispatcher
from runtime.runs import TemporalUnavailable
from store.segment_watching import (
    Look,
    begin_look,
    end_look,
    forget_page,
    forget_unwatched,
    not_looked_at,
    page_of_entries,
)
from store.tables import now
from store.triggers import enroll_entered, watched_segments

PAGE = 500
"""Contacts in a transaction."""
_UNWATCHED = timedelta(days=1)
"""How long a segment that no trigger of this code watches is remembered: code of another version may watch it."""


async def look_at_segments(dispatcher: Dispatcher, every: timedelta, *, page: int = PAGE) -> int:
    """Look at each watched segment that nobody has looked at for so long; answer how many contacts were enrolled.

    While Temporal is away, the sweep starts them later.
    """
    since = now() - every
    async with dispatcher.database.read() as session:
        watched = await watched_segments(session, dispatcher.flows)
        due = await not_looked_at(session, watched, since)
    enrolled = 0
    for segment_id in due:
        async with dispatcher.database.write() as session:
            look = await begin_look(session, segment_id, since)
        if look is not None:
            enrolled += await _look(dispatcher, look, page)
    if due:
        async with dispatcher.database.write() as session:
            await forget_unwatched(session, watched, now() - _UNWATCHED, page)
    return enrolled


async def _look(dispatcher: Dispatcher, look: Look, page: int) -> int:
    forgotten = page
    while forgotten == page:
        async with dispatcher.database.write() as session:
            forgotten = await forget_page(session, look, page)
    enrolled = 0
    after: str | None = ""
    while after is not None:
        async with dispatcher.database.write() as session:
            entered, after = await page_of_entries(session, look, after, page)
            rows = []
            if not look.begins:
                rows = await enroll_entered(session, dispatcher.flows, look.segment_id, entered)
        enrolled += len(rows)
        with suppress(TemporalUnavailable):
            await dispatcher.start_many(rows)
    async with dispatcher.database.write() as session:
        await end_look(session, look)
    return enrolled
