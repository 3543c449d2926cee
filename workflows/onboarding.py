"""Welcome a new customer and help them to their first success."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from domain.limits import Duration
from workflows.flow import Flow


class OnboardingSettings(FlowSettings):
    hand_after: Duration = Field(
        default=timedelta(days=3),
        description="offer a hand if the customer has not activated this long after the welcome",
    )
    tip_after: Duration = Field(default=timedelta(days=7), description="send the training tip this much later")
    check_in_after: Duration = Field(default=timedelta(days=14), description="check in this long after entering")


@workflow.defn(name="onboarding")
class Onboarding(Flow[OnboardingSettings]):
    about = FlowType(
        title="Onboarding: from welcome to first success",
        goal=Goal(event="activated", target=0.4, within=timedelta(days=14)),
        owner="customer success",
        on_edit=OnEdit.FOLLOW,
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        await self.send("welcome")
        if not await self.happened("activated", within=self.settings.hand_after):
            await self.send("need-a-hand")
        await self.wait("time-to-try", self.settings.tip_after)
        await self.send("training-tip")
        await self.wait_until("check-in-day", self.entered_at + self.settings.check_in_after)
        await self.send("check-in")
        self.finish("series-sent")
