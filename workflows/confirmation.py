"""Have a contact confirm themselves what somebody said that they agreed to: double opt-in."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from domain.limits import Duration
from workflows.flow import Flow


class ConfirmationSettings(FlowSettings):
    remind_after: Duration = Field(
        default=timedelta(days=3),
        description="remind the contact if they have not confirmed this long after the request",
    )
    give_up_after: Duration = Field(
        default=timedelta(days=7), description="stop waiting this long after the reminder, which is the last"
    )


@workflow.defn(name="confirmation")
class Confirmation(Flow[ConfirmationSettings]):
    about = FlowType(
        title="Confirm a subscription",
        goal=Goal(event="subscription_confirmed", target=0.7, within=timedelta(days=10)),
        owner="marketing",
        on_edit=OnEdit.FOLLOW,
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        await self.send("confirm")
        await self.wait("time-to-confirm", self.settings.remind_after)
        await self.send("reminder")
        await self.wait("last-days", self.settings.give_up_after)
        self.finish("not-confirmed")
