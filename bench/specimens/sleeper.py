"""A contact who sleeps until something wakes them."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from workflows.flow import Flow


class SleeperSettings(FlowSettings):
    pass


@workflow.defn(name="sleeper")
class Sleeper(Flow[SleeperSettings]):
    about = FlowType(
        title="Sleep until woken",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=400)),
        owner="marketing",
        on_edit=OnEdit.FOLLOW,
        listens=frozenset({"alarm"}),
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        await self.happened("alarm", within=timedelta(days=365))
        await self.change_score("woken", 1)
        await self.wait("asleep-again", timedelta(days=365))
