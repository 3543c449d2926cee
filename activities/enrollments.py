"""What a workflow tells the database about its enrollment."""

from __future__ import annotations

from pydantic import BaseModel
from temporalio import activity

from domain.flows import Outcome
from store import enrollments
from store.database import Database


class EndEnrollment(BaseModel):
    enrollment_id: str
    outcome: Outcome


class EnrollmentActivities:
    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name="enrollment.end")
    async def end(self, order: EndEnrollment) -> None:
        """Record how an enrollment ended. Idempotency: the first outcome stays."""
        async with self._database.write() as session:
            await enrollments.record_outcome(session, order.enrollment_id, order.outcome)
