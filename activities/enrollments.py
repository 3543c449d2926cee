"""What a workflow tells the database about its enrollment: how it ends, and what flow the contact goes on in."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, Field
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from activities.leaving import refused_while_leaving
from domain.flows import FlowType, Outcome
from store import enrollments
from store.database import Database
from store.enrollments import AlreadyActive, NotYetAgain, open_enrollment
from store.tables import EnrollmentRow


class EndEnrollment(BaseModel):
    """`hand_over_to`: the flow that takes the contact over, in the same transaction."""

    enrollment_id: str
    outcome: Outcome
    hand_over_to: str | None = Field(default=None, exclude_if=operator.not_)


class HandOver(BaseModel):
    enrollment_id: str
    step: str
    flow: str


class HandedOver(BaseModel):
    """Enrolled now, in that flow already, or refused by its rules."""

    status: Literal["enrolled", "already_there", "refused"]
    flow: str
    reason: str | None = None


class EnrollmentActivities:
    """`flows` are those that there are to hand over to. A new enrollment's workflow is started by the sweep."""

    def __init__(self, database: Database, flows: Mapping[str, FlowType]) -> None:
        self._database = database
        self._flows = flows

    @activity.defn(name="enrollment.end")
    async def end(self, order: EndEnrollment) -> None:
        """Record how an enrollment ended. Idempotency: the first outcome stays."""
        async with self._database.write() as session:
            ended = await enrollments.record_outcome(session, order.enrollment_id, order.outcome)
            if ended and order.hand_over_to is not None:
                row = await session.get_one(EnrollmentRow, order.enrollment_id)
                await self._enroll(session, row, order.hand_over_to, "goal")

    @activity.defn(name="enrollment.hand_over")
    async def hand_over(self, order: HandOver) -> HandedOver:
        """Enroll the contact in another flow. Idempotency: once for each step.

        Raises: ApplicationError `EnrollmentLeaving`, retried.
        """
        async with refused_while_leaving(), self._database.write() as session:
            row = await open_enrollment(session, order.enrollment_id)
            return await self._enroll(session, row, order.flow, order.step)

    async def _enroll(self, session: AsyncSession, row: EnrollmentRow, flow: str, by: str) -> HandedOver:
        about = self._flows.get(flow)
        if about is None:
            return HandedOver(status="refused", flow=flow, reason="no flow of this name in the code")
        try:
            await enrollments.enroll(
                session,
                flow=flow,
                contact_id=row.contact_id,
                settings={},
                reenroll_after=about.reenroll_after,
                idempotency_key=f"hand-over:{row.id}:{by}",
                request_hash=row.id,
                origin="goal" if by == "goal" else "hand-over",
                came_from=row.id,
                requested_by=row.requested_by,
            )
        except AlreadyActive:
            return HandedOver(status="already_there", flow=flow)
        except NotYetAgain as refusal:
            until = f" before {refusal.until:%Y-%m-%d}" if refusal.until else ""
            return HandedOver(status="refused", flow=flow, reason=f"not again{until}")
        return HandedOver(status="enrolled", flow=flow)
