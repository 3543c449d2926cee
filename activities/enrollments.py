"""What a workflow tells the database about its enrollment: how it ends, and what flow the contact goes on in."""

from __future__ import annotations

import logging
import operator
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, Field
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from activities.leaving import refused_while_leaving
from domain.flows import FlowType, Outcome
from store import enrollments
from store.crm import HAND_OVER, change_of_step
from store.database import Database
from store.enrollments import AlreadyActive, NotYetAgain, open_enrollment
from store.erasures import BeingErased
from store.insertion import insert_unless_there
from store.tables import CrmChangeRow, EnrollmentRow, new_id

logger = logging.getLogger(__name__)

_GOAL = "(goal)"
"""Stands for a step where the goal hands over: no step has this name."""


class EndEnrollment(BaseModel):
    """`hand_over_to`: the flow that takes the contact over, in the same transaction. `build`: that it began on."""

    enrollment_id: str
    outcome: Outcome
    hand_over_to: str | None = Field(default=None, exclude_if=operator.not_)
    build: str | None = Field(default=None, exclude_if=operator.not_)


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
            ended = await enrollments.record_outcome(session, order.enrollment_id, order.outcome, order.build)
            if ended and order.hand_over_to is not None:
                row = await session.get_one(EnrollmentRow, order.enrollment_id)
                await self._hand_over(session, row, order.hand_over_to, _GOAL)

    @activity.defn(name="enrollment.hand_over")
    async def hand_over(self, order: HandOver) -> HandedOver:
        """Enroll the contact in another flow. Idempotency: what came of a step stands.

        Raises: ApplicationError `EnrollmentLeaving`, retried.
        """
        async with refused_while_leaving(), self._database.write() as session:
            row = await open_enrollment(session, order.enrollment_id)
            return await self._hand_over(session, row, order.flow, order.step)

    async def _hand_over(self, session: AsyncSession, row: EnrollmentRow, flow: str, step: str) -> HandedOver:
        """Enroll the contact, or keep for their timeline why not: the new enrollment would tell it."""
        known = await change_of_step(session, row.id, step)
        if known is not None and known.kind == HAND_OVER:
            return HandedOver.model_validate(known.result)
        handed = await self._enroll(session, row, flow, step)
        if handed.status != "enrolled":
            kept = CrmChangeRow(
                id=new_id(),
                enrollment_id=row.id,
                contact_id=row.contact_id,
                step=step,
                kind=HAND_OVER,
                change={"flow": flow},
                result=handed.model_dump(exclude_none=True),
                refusal=handed.reason,
            )
            await insert_unless_there(session, kept)
        if handed.status == "refused":
            ids = {"enrollment_id": row.id, "step": step, "to": flow, "reason": handed.reason}
            logger.warning("hand-over refused", extra=ids)
        return handed

    async def _enroll(self, session: AsyncSession, row: EnrollmentRow, flow: str, step: str) -> HandedOver:
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
                idempotency_key=f"hand-over:{row.id}:{step}",
                request_hash=row.id,
                origin="goal" if step == _GOAL else "hand-over",
                came_from=row.id,
                requested_by=row.requested_by,
            )
        except AlreadyActive:
            return HandedOver(status="already_there", flow=flow)
        except NotYetAgain as refusal:
            until = f" before {refusal.until:%Y-%m-%d}" if refusal.until else ""
            return HandedOver(status="refused", flow=flow, reason=f"not again{until}")
        except BeingErased:
            return HandedOver(status="refused", flow=flow, reason="the contact is being erased")
        return HandedOver(status="enrolled", flow=flow)
