"""Nurture a lead with content that fits their interest, until they are ready to talk to sales."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from domain.limits import Duration
from workflows.flow import Flow

INTERESTS = ("productivity", "growth", "teamwork")


class NurturingSettings(FlowSettings):
    pieces: int = Field(default=3, ge=1, le=3, description="content pieces at the most, then the contact rests")
    click_within: Duration = Field(default=timedelta(days=3), description="wait this long for a click on a piece")
    second_chance: Duration = Field(
        default=timedelta(days=4), description="wait this long for a click after the reminder"
    )
    pause: Duration = Field(default=timedelta(days=2), description="between a click and the next piece")
    slow_pause: Duration = Field(default=timedelta(days=10), description="between silence and the next piece")
    click_points: int = Field(default=20, ge=0, le=1000, description="lead score for each piece that is clicked")
    qualifying_score: int = Field(default=50, ge=1, description="hand over to sales at this lead score")


@workflow.defn(name="nurturing")
class Nurturing(Flow[NurturingSettings]):
    about = FlowType(
        title="Nurturing: from interest to a conversation",
        goal=Goal(event="demo_requested", target=0.12, within=timedelta(days=60), hand_over_to="lead_assignment"),
        owner="marketing",
        on_edit=OnEdit.FOLLOW,
        listens=frozenset({"clicked"}),
        reenroll_after=timedelta(days=90),
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        interest = await self.choose("interest", attribute="interest", among=INTERESTS)
        for number in range(1, self.settings.pieces + 1):
            await self.send(f"piece-{number}", message=f"{interest}-{number}")
            if await self.is_clicked(number):
                score = await self.change_score(f"score-{number}", self.settings.click_points)
                if score >= self.settings.qualifying_score:
                    await self.set_lifecycle("qualify", "qualified")
                    await self.hand_over("to-sales", "lead_assignment")
                    self.finish("qualified")
                await self.wait(f"pause-{number}", self.settings.pause)
            else:
                await self.wait(f"slow-pause-{number}", self.settings.slow_pause)
        await self.set_lifecycle("rest", "resting")
        self.finish("rested")

    async def is_clicked(self, number: int) -> bool:
        if await self.happened(f"click-{number}", event="clicked", within=self.settings.click_within):
            return True
        await self.send(f"reminder-{number}", message="reminder")
        return await self.happened(f"late-click-{number}", event="clicked", within=self.settings.second_chance)
