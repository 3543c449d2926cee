"""A flow that waits for a local time, asks people in roles of its own, and hands the contact over."""

from __future__ import annotations

from datetime import time, timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from domain.questions import ApprovalPlan, Asked, Stage
from domain.working_time import Weekday
from workflows.flow import Flow


class FairSettings(FlowSettings):
    """None."""


@workflow.defn(name="fair")
class Fair(Flow[FairSettings]):
    about = FlowType(
        title="Invite to the fair",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=30)),
        owner="marketing",
        on_edit=OnEdit.FOLLOW,
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        await self.wait_for_local_time("morning", time(9, 30), days=[Weekday.TUESDAY])
        plan = ApprovalPlan(stages=(Stage(asks=(Asked(role="finance"),)),), expires_after=timedelta(days=2))
        budget = await self.ask("budget", "A free ticket", plan=plan, facts={"price_cents": 9000})
        if not budget.approved:
            self.finish("no-ticket")
        print_it = await self.task("ticket", "Print the ticket", to=Asked(role="office"), due=timedelta(days=1))
        if print_it.done:
            await self.hand_over("on", "onboarding")
        self.finish("invited")
