"""A flow with more steps than one run's history should hold."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from workflows.flow import Flow


class MarathonSettings(FlowSettings):
    laps: int = 6


@workflow.defn(name="marathon")
class Marathon(Flow[MarathonSettings]):
    about = FlowType(
        title="Lap after lap",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=30)),
        owner="marketing",
        on_edit=OnEdit.FOLLOW,
        listens=frozenset({"clicked"}),
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        await self.send("tip")
        for lap in range(self.settings.laps):
            await self.wait(f"lap-{lap}", timedelta(milliseconds=20))
        if await self.happened("clicked", within=timedelta(minutes=1)):
            await self.send("finish", "tip")
