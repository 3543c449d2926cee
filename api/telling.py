"""Telling Temporal, right after storing, what was stored: as far as that can be done now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from sqlalchemy.exc import SQLAlchemyError

from runtime.runs import TemporalUnavailable

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 3.0


async def tell(telling: Awaitable[bool], about: str) -> None:
    """Wait for `telling` a short while. Whatever it does not finish is left to the sweep, which may do it again.

    `about` names the stored row in the log.
    """
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await telling
    except (TemporalUnavailable, TimeoutError, SQLAlchemyError) as error:
        logger.warning("Temporal was not told: the sweep will", extra={"about": about, "error": type(error).__name__})
