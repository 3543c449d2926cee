"""The queue of leads: given away as reps come back, and runs told of what came out of it."""

from __future__ import annotations

from domain.events import LEAD_OFFERED
from domain.memory import Happening
from runtime.runs import RunGone, Runs, reaching_temporal
from runtime.temporal import RPC_TIMEOUT
from store import assignments
from store.database import Database
from store.lead_queue import is_queue_empty
from store.people_tables import AssignmentRow
from store.tables import EnrollmentRow, now


async def drain_queue(database: Database) -> int:
    """Offer the leads that wait to whoever can take them, some at a time; answer how many were."""
    async with database.read() as session:
        if await is_queue_empty(session):
            return 0
    drained = 0
    while True:
        async with database.write() as session:
            offers = await assignments.drain(session, now(), assignments.DRAINED_AT_ONCE)
        drained += len(offers)
        if len(offers) < assignments.DRAINED_AT_ONCE:
            return drained


async def tell_offered(offer: AssignmentRow, runs: Runs, database: Database) -> bool:
    """Tell a run that its lead came out of the queue; answer whether it knows. One that is gone is ended here.

    Raises: TemporalUnavailable.
    """
    async with database.read() as session:
        enrollment = await session.get_one(EnrollmentRow, offer.enrollment_id)
    try:
        if enrollment.status == "active":
            await signal_offered(offer, enrollment, runs)
    except RunGone:
        await runs.end_without_run(enrollment)
    async with database.write() as session:
        await assignments.mark_told(session, offer.id)
    return True


async def signal_offered(offer: AssignmentRow, enrollment: EnrollmentRow, runs: Runs) -> None:
    """A run that was told of this offer before makes nothing of it. Raises: RunGone, TemporalUnavailable."""
    with reaching_temporal():
        happening = Happening.of(offer.id, LEAD_OFFERED)
        await runs.handle(enrollment).signal("event", happening, rpc_timeout=RPC_TIMEOUT)
