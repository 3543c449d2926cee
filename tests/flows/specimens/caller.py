"""Writes a tip; while the provider is out of order, somebody of the team is to do it instead."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, InDoubt, OnEdit, Outcome
from domain.messages import InOutage
from workflows.flow import Flow


class CallerSettings(FlowSettings):
    pass


@workflow.defn(name="caller")
class Caller(Flow[CallerSettings]):
    about = FlowType(
        title="One email, or a call",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=30)),
        owner="marketing",
        on_edit=OnEdit.FOLLOW,
        in_doubt=InDoubt.RESEND,
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        await self.send("tip", in_outage=InOutage.TASK)
        await self.wait("a-day", timedelta(days=1))
