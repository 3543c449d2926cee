"""Bring a lead to a salesperson who takes care of it in time."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from domain.limits import Duration
from domain.questions import LEAST_PAUSE, Asked
from workflows.flow import Flow


class LeadAssignmentSettings(FlowSettings):
    respond_within: Duration = Field(
        default=timedelta(hours=2), description="working time that a rep has to accept the lead"
    )
    call_within: Duration = Field(default=timedelta(days=1), description="from the acceptance to the first call")
    remind_every: Duration = Field(
        default=timedelta(hours=8), ge=LEAST_PAUSE, description="of the call, until it is done"
    )
    meeting_within: Duration = Field(
        default=timedelta(days=14), description="keep the lead on the rep's list this long, waiting for a meeting"
    )


@workflow.defn(name="lead_assignment")
class LeadAssignment(Flow[LeadAssignmentSettings]):
    about = FlowType(
        title="Lead assignment: a lead finds its salesperson",
        goal=Goal(event="meeting_booked", target=0.3, within=timedelta(days=21)),
        owner="sales",
        on_edit=OnEdit.FOLLOW,
        reenroll_after=timedelta(days=30),
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        await self.assign_lead("assign", respond_within=self.settings.respond_within)
        await self.set_lifecycle("accepted", "sales_accepted")
        await self.send("meet-your-advisor")
        call = await self.task(
            "call",
            "Call the lead and offer a meeting",
            to=Asked(lead_owner=True),
            due=self.settings.call_within,
            remind_every=self.settings.remind_every,
        )
        if not call.done:
            await self.note("call-overdue", "The first call was not made in time")
        await self.wait("for-a-meeting", self.settings.meeting_within)
        await self.set_lifecycle("no-meeting", "nurture_later")
        self.finish("worked")
