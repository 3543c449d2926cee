"""Drip steps one after another: what one of them costs is the difference between many and few."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from workflows.flow import Flow


class DripsSettings(FlowSettings):
    steps: int = 2


@workflow.defn(name="drips")
class Drips(Flow[DripsSettings]):
    about = FlowType(
        title="Wait and write, again and again",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=30)),
        owner="marketing",
        on_edit=OnEdit.FOLLOW,
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        for number in range(self.settings.steps):
            await self.wait(f"pause-{number}", timedelta(milliseconds=50))
            await self.send(f"tip-{number}", "tip")
