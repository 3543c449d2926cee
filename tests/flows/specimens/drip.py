"""The least flow that waits and writes: what a drip step costs is counted on it."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from domain.limits import Duration
from workflows.flow import Flow


class DripSettings(FlowSettings):
    pause: Duration = timedelta(days=1)


@workflow.defn(name="drip")
class Drip(Flow[DripSettings]):
    about = FlowType(
        title="One email, a day later",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=30)),
        owner="marketing",
        on_edit=OnEdit.FOLLOW,
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        await self.wait("a-day", self.settings.pause)
        await self.send("tip")
