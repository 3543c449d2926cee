"""Telling runs that they are held, or are not any more: an update each, which is the same however often it is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from temporalio.client import (
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)

from domain.flows import Progress
from runtime.in_turns import in_turns
from runtime.runs import NobodyAnswers, RunGone, Runs, TemporalRefused, reaching_temporal
from runtime.temporal import RPC_TIMEOUT
from store import holds
from store.database import Database
from store.holds import Telling
from store.tables import EnrollmentRow

logger = logging.getLogger(__name__)

AT_ONCE = 1000
"""Enrollments of a flow that one sweep tells. The next one tells more."""
_ENOUGH = 10
"""Runs that do not answer, until the others of their flow are left for later."""


async def tell_standing(enrollment: EnrollmentRow, runs: Runs, database: Database) -> bool:
    """Tell a started enrollment's run whether it is held, if it does not know; answer whether it knows.

    One whose run is gone is ended here.
    Raises: NobodyAnswers, after a few seconds at the most; TemporalRefused; TemporalUnavailable.
    """
    while True:
        async with database.write() as session:
            telling = await holds.begin_telling(session, enrollment.id)
        if telling is None:
            return True
        try:
            await _update(enrollment, telling, runs)
        except RunGone:
            await runs.end_without_run(enrollment)
            return True
        async with database.write() as session:
            await holds.mark_told(session, telling)


async def tell_flow(
    flow: str, before: datetime, tell: Callable[[EnrollmentRow], Awaitable[bool]], database: Database
) -> int:
    """Have runs of a flow told what changed `before`, a few at a time; answer how many know it now.

    Once some have not answered, the flow's workers are away, or its code is mistaken: the others are left for later.
    Raises: TemporalUnavailable.
    """
    async with database.read() as session:
        rows = await holds.held_wrongly_told(session, flow, before, AT_ONCE)
    refusals: list[str] = []

    async def tell_one(row: EnrollmentRow) -> bool:
        if len(refusals) >= _ENOUGH:
            return False
        try:
            return await tell(row)
        except TemporalRefused as refusal:
            refusals.append(str(refusal))
            return False

    told = sum(await in_turns(tell_one, rows))
    if refusals:
        extra = {"flow": flow, "asked_in_vain": len(refusals), "error": refusals[-1]}
        logger.warning("runs do not know yet whether they are held", extra=extra)
    return told


async def _update(enrollment: EnrollmentRow, telling: Telling, runs: Runs) -> None:
    with reaching_temporal():
        # What this enrollment is told must not reach the contact's next one.
        if not await runs.is_running(enrollment):
            raise RunGone
    try:
        with reaching_temporal():
            update = await runs.handle(enrollment).start_update(
                "hold" if telling.held else "resume",
                id=telling.key,
                wait_for_stage=WorkflowUpdateStage.ACCEPTED,
                result_type=Progress,
                rpc_timeout=RPC_TIMEOUT,
            )
            await update.result(rpc_timeout=RPC_TIMEOUT)
    except RunGone:
        raise TemporalRefused("the run closed while it was told") from None
    except WorkflowUpdateFailedError as error:
        raise TemporalRefused(f"the run refuses: {error.cause}") from error
    except WorkflowUpdateRPCTimeoutOrCancelledError as error:
        if isinstance(error.__cause__, asyncio.CancelledError):
            raise error.__cause__ from None
        raise NobodyAnswers("no worker answers for the run") from error
