"""The periodic sweep: what was stored and not told is told, what ended from outside is recorded."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from domain.crm import Crm
from runtime.runs import TemporalUnavailable
from runtime.sweep import Sweep
from store.tables import now

logger = logging.getLogger(__name__)

LOOK_BACK = timedelta(days=7)
"""At the first sweep, for runs that ended from outside while no worker was there."""
_MIRROR_PAUSE = timedelta(minutes=1)
OVERLAP = timedelta(minutes=2)
"""Between two sweeps: the server's lists lag behind."""


async def keep_sweeping(sweep: Sweep, pause: timedelta, stop: asyncio.Event, *, doubt_window: timedelta) -> None:
    """Sweep, pause, and again, until `stop` is set. What stands in the way of one sweep is left for the next."""
    closed_since = now() - LOOK_BACK
    while not stop.is_set():
        began = now()
        try:
            finished = await sweep.run(grace=pause, closed_since=closed_since, doubt_window=doubt_window)
            closed_since = began - OVERLAP
            if any(finished.values()):
                logger.info("swept", extra=finished)
        except (TemporalUnavailable, SQLAlchemyError) as error:
            logger.warning("sweep left for later: %s", type(error).__name__)
        try:
            await asyncio.wait_for(stop.wait(), timeout=pause.total_seconds())
        except TimeoutError:
            continue


async def keep_mirror_told(crm: Crm) -> None:
    """Tell other systems, without an end, of changes whose enrollments ended before they could be told."""
    while True:
        try:
            await crm.catch_up()
        except SQLAlchemyError as error:
            logger.warning("mirror left for later: %s", type(error).__name__)
        await asyncio.sleep(_MIRROR_PAUSE.total_seconds())
