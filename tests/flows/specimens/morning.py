"""A letter on a weekday morning where the contact is, and a discount that people decide on."""

from __future__ import annotations

from datetime import time, timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from domain.questions import ApprovalPlan, Asked, Stage
from domain.working_time import Weekday
from workflows.flow import Flow

DAYS = (Weekday.TUESDAY, Weekday.WEDNESDAY, Weekday.THURSDAY)
TWO_OF_SALES = ApprovalPlan(stages=(Stage(asks=(Asked(role="sales"),), needs="all"),), remind_every=None)


class MorningSettings(FlowSettings):
    percent: int = 30


@workflow.defn(name="morning")
class Morning(Flow[MorningSettings]):
    about = FlowType(
        title="A letter in the morning, and a discount",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=30)),
        owner="marketing",
        on_edit=OnEdit.FOLLOW,
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        await self.wait_for_local_time("morning", time(9, 30), DAYS)
        await self.send("letter")
        await self.wait("a-week", timedelta(days=7))
        facts = {"percent": self.settings.percent}
        decision = await self.ask("discount", "A discount", plan=TWO_OF_SALES, facts=facts)
        await self.note("decided", decision.outcome)
        self.finish("told")
