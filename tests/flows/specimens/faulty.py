"""A flow with the two mistakes that its base refuses: chosen by the settings."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from workflows.flow import Flow


class FaultySettings(FlowSettings):
    repeat_a_step: bool = False


@workflow.defn(name="faulty")
class Faulty(Flow[FaultySettings]):
    about = FlowType(
        title="Faulty",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=30)),
        owner="nobody",
        on_edit=OnEdit.FOLLOW,
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        if self.settings.repeat_a_step:
            for _ in range(2):
                await self.wait("pause", timedelta(days=1))
        await self.happened("clicked", within=timedelta(days=1))
