"""Win back a customer who has gone quiet, and leave them in peace if they stay away."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from temporalio import workflow

from domain.events import ActName
from domain.flows import EnrollInactive, Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from domain.limits import Duration
from domain.questions import ApprovalPlan, Asked, Stage
from workflows.flow import Flow

SIZES = ("small", "medium", "large")
SIGNS_OF_LIFE = ("visited", "logged_in", "clicked", "replied")
MANAGERS_DECIDE = ApprovalPlan(
    stages=(Stage(asks=(Asked(role="sales_manager"),)),),
    remind_every=timedelta(days=1),
    expires_after=timedelta(days=3),
)


class ReactivationSettings(FlowSettings):
    signs_of_life: tuple[ActName, ...] = Field(
        default=SIGNS_OF_LIFE, max_length=20, description="events, besides a purchase, that bring the customer back"
    )
    offer_after: Duration = Field(default=timedelta(days=5), description="from the first message to the offer")
    offer_valid_for: Duration = Field(default=timedelta(days=14), description="how long the offer stands")
    last_chance_before: Duration = Field(
        default=timedelta(days=3), description="the last chance, before the offer ends"
    )
    medium_from: int = Field(default=50_000, ge=0, description="lifetime_value_cents from which the offer is medium")
    large_from: int = Field(default=200_000, ge=0, description="lifetime_value_cents from which the offer is large")
    small_offer: int = Field(default=10, ge=1, le=100, description="per cent")
    medium_offer: int = Field(default=20, ge=1, le=100, description="per cent")
    large_offer: int = Field(default=30, ge=1, le=100, description="per cent")
    approval_over: int = Field(default=20, ge=0, le=100, description="an offer of more per cent needs an approval")
    approval: ApprovalPlan = Field(default=MANAGERS_DECIDE, description="who decides on an offer over the limit")


@workflow.defn(name="reactivation")
class Reactivation(Flow[ReactivationSettings]):
    about = FlowType(
        title="Reactivation: win back a quiet customer",
        goal=Goal(
            event="bought",
            others=SIGNS_OF_LIFE,
            others_setting="signs_of_life",
            target=0.1,
            within=timedelta(days=30),
        ),
        owner="marketing",
        on_edit=OnEdit.FOLLOW,
        reenroll_after=timedelta(days=180),
        enrolls=EnrollInactive(inactive_for=timedelta(days=90), at_most=500),
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        await self.send("we-miss-you")
        await self.wait("time-to-return", self.settings.offer_after)
        size = await self.granted_size()
        await self.send("offer", message=f"offer-{size}")
        await self.wait("offer-stands", self.settings.offer_valid_for - self.settings.last_chance_before)
        await self.send("last-chance")
        await self.wait("offer-ends", self.settings.last_chance_before)
        await self.sunset("sunset")
        self.finish("stayed-away")

    async def granted_size(self) -> str:
        bounds = (self.settings.medium_from, self.settings.large_from)
        value = await self.bracket("value", attribute="lifetime_value_cents", bounds=bounds)
        size = SIZES[value]
        offer = (self.settings.small_offer, self.settings.medium_offer, self.settings.large_offer)[value]
        if offer > self.settings.approval_over:
            decision = await self.ask(
                "approve-offer",
                "An offer over the limit, to win back a customer",
                facts={"offer_percent": offer, "without_approval_percent": self.settings.small_offer},
                plan=self.settings.approval,
            )
            if not decision.approved:
                size = "small"
        return size
