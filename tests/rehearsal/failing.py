"""A flow with a bug, after its first wait."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from workflows.flow import Flow


class FailingSettings(FlowSettings):
    """None."""


@workflow.defn(name="failing")
class Failing(Flow[FailingSettings]):
    about = FlowType(
        title="Failing",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=30)),
        owner="nobody",
        on_edit=OnEdit.FOLLOW,
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        await self.wait("a-day", timedelta(days=1))
        raise KeyError("plan")
