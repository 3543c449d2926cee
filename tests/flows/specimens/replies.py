"""Two waits for the same event with nothing sent between them."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from workflows.flow import Flow


class RepliesSettings(FlowSettings):
    """None."""


@workflow.defn(name="replies")
class Replies(Flow[RepliesSettings]):
    about = FlowType(
        title="Wait for two replies",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=30)),
        owner="sales",
        on_edit=OnEdit.FOLLOW,
        listens=frozenset({"replied"}),
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        for reply in (1, 2):
            if not await self.happened(f"reply-{reply}", event="replied", within=timedelta(days=1)):
                self.finish("silent")
        self.finish("replied-twice")
