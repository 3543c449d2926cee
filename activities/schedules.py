"""Making what a schedule is due to make."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime

from pydantic import BaseModel
from temporalio import activity
from temporalio.exceptions import ApplicationError

from store.audiences import UnknownSource
from store.database import Database
from store.enrollments import KeyReused
from store.list_tables import BroadcastRow, BulkEnrollmentRow
from store.schedules import make_job

logger = logging.getLogger(__name__)

Begin = Callable[[BulkEnrollmentRow | BroadcastRow], Awaitable[None]]
"""Start the workflow of what was made, as far as that can be done now; the sweep does it otherwise."""


class FireSchedule(BaseModel):
    schedule_id: str


class DueSchedule(BaseModel):
    """`nominal` is the time that it is due for, whenever that is done."""

    schedule_id: str
    nominal: datetime


class Fired(BaseModel):
    """The id of the bulk enrollment or broadcast that was made, or why none was."""

    job_id: str | None = None
    left_out: str | None = None


class ScheduleActivities:
    def __init__(self, database: Database, flows: Collection[str], begin: Begin) -> None:
        self._database = database
        self._flows = flows
        self._begin = begin

    @activity.defn(name="schedule.fire")
    async def fire(self, due: DueSchedule) -> Fired:
        """Make the job of one time of a schedule.

        Idempotency: by schedule and nominal time, in the database.
        Raises: ApplicationError ScheduleNotPossible, never retried, if its audience is not there any more.
        """
        try:
            async with self._database.write() as session:
                made = await make_job(session, due.schedule_id, due.nominal, self._flows)
        except UnknownSource as error:
            raise ApplicationError(str(error), type="ScheduleNotPossible", non_retryable=True) from None
        except KeyReused:
            message = "a request has taken the idempotency key of this time"
            raise ApplicationError(message, type="ScheduleNotPossible", non_retryable=True) from None
        if made.job is None:
            logger.warning("a schedule made nothing", extra={"schedule_id": due.schedule_id, "why": made.left_out})
            return Fired(left_out=made.left_out)
        if made.job.begun_at is None:
            await self._begin(made.job)
        return Fired(job_id=made.job.id)
