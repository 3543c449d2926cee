"""A flow of a year: a message each month, and a question after each."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from workflows.flow import Flow


class YearlySettings(FlowSettings):
    months: int = 12


@workflow.defn(name="yearly")
class Yearly(Flow[YearlySettings]):
    about = FlowType(
        title="A letter a month, for a year",
        goal=Goal(event="renewed", target=0.5, within=timedelta(days=365)),
        owner="customer success",
        on_edit=OnEdit.PIN,
        listens=frozenset({"opened"}),
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        for month in range(1, self.settings.months + 1):
            await self.send(f"letter-{month}", "letter")
            if not await self.happened(f"read-{month}", event="opened", within=timedelta(days=10)):
                await self.wait(f"silence-{month}", timedelta(days=10))
            await self.wait_until(f"month-{month}", self.entered_at + month * timedelta(days=365) / 12)
        self.finish("year-over")
