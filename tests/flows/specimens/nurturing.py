"""A flow with branches, a loop with keys, waits of every kind, and an early finish."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from domain.limits import Duration
from workflows.flow import Flow


class NurturingSettings(FlowSettings):
    pause: Duration = timedelta(days=7)


@workflow.defn(name="nurturing")
class Nurturing(Flow[NurturingSettings]):
    about = FlowType(
        title="Nurture a lead until they ask for a demo",
        goal=Goal(event="demo_requested", target=0.12, within=timedelta(days=60)),
        owner="marketing",
        on_edit=OnEdit.FOLLOW,
        listens=frozenset({"clicked"}),
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        await self.send("guide")
        if await self.happened("clicked", within=timedelta(days=3)):
            await self.send("case-study")
            if await self.happened("clicked-case-study", event="clicked", within=timedelta(days=3)):
                self.finish("interested")
        for week in (1, 2):
            await self.wait(f"pause-{week}", self.settings.pause)
            await self.send(f"reminder-{week}", "reminder")
        await self.wait_until("two-months", self.entered_at + timedelta(days=60))
