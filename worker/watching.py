"""Segments that triggers watch are looked at, again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client

from domain.flows import FlowType
from runtime.dispatch import Dispatcher
from runtime.segment_watching import look_at_segments
from runtime.settings import Settings
from store.database import Database

logger = logging.getLogger(__name__)


@asynccontextmanager
async def watching(
    client: Client, settings: Settings, database: Database, flows: Mapping[str, FlowType]
) -> AsyncIterator[None]:
    """Inside the block: enroll whom a look at all of a segment finds new in it. Several workers share the looks."""
    looking = asyncio.create_task(_keep(Dispatcher(database, client, flows), settings))
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def _keep(dispatcher: Dispatcher, settings: Settings) -> None:
    every = timedelta(seconds=settings.segment_refresh_seconds)
    # What is watched from now on is looked at soon, however seldom all of it is.
    pause = min(settings.sweep_seconds, settings.segment_refresh_seconds)
    while True:
        try:
            if enrolled := await look_at_segments(dispatcher, every):
                logger.info("segments entered", extra={"enrolled": enrolled})
        except SQLAlchemyError as error:
            logger.warning("segments left for later: %s", type(error).__name__)
        await asyncio.sleep(pause)
