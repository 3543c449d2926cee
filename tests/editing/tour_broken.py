"""The flow, edited with a mistake."""

from __future__ import annotations

from temporalio import workflow

from domain.flows import Enrollment, Outcome
from tests.editing.tour_before import TourBefore, TourSettings
from workflows.flow import Flow


@workflow.defn(name="tour")
class TourBroken(Flow[TourSettings]):
    about = TourBefore.about

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        if self.settings.rests_at != "clicked":
            await self.send("welcome")
        raise KeyError("plan")
