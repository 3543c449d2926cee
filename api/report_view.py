"""What came of a flow, as the API shows it."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.flows import Goal
from domain.message_counts import MessageCounts, StepCounts, message_counts, step_counts
from domain.reports import ExitCounts, GoalRate, QuestionCounts, Times, VersionCounts, exits, goal_rate, versions
from store.question_reports import question_counts
from store.reports import (
    Cohort,
    count_held,
    enrollment_tallies,
    goal_times,
    in_order,
    message_tallies,
    reason_tallies,
    see_one_state,
)

_MESSAGES: dict[str, JsonValue] = {
    "reached": 1000,
    "under_way": 1,
    "deferred": 4,
    "skipped": 22,
    "rejected": 2,
    "unconfirmed": 1,
    "sent": 970,
    "delivered": 940,
    "bounced": 12,
    "dropped": 3,
    "not_told": 15,
    "opened": {"people": 512, "machines_only": 180},
    "clicked": {"people": 131, "machines_only": 24},
    "complained": 1,
}
_EXAMPLE: dict[str, JsonValue] = {
    "flow": "onboarding",
    "from": "2026-10-01",
    "to": "2026-11-01",
    "version": None,
    "counted_at": "2026-11-23T09:30:00Z",
    "enrolled": 1000,
    "active": 40,
    "held": 1,
    "exits": [
        {"exit": "completed", "count": 529, "steps": {"check-in": 529}},
        {"exit": "goal", "count": 421, "steps": {"activated": 330, "check-in": 91}},
        {"exit": "unsubscribed", "count": 10, "steps": {"welcome": 7, "tip": 3}},
    ],
    "goal": {
        "reached": 412,
        "late": 9,
        "open": 12,
        "rate": 0.412,
        "low": 0.3819,
        "high": 0.4428,
        "high_with_open": 0.4549,
        "verdict": "not yet told apart from the target",
        "event": "activated",
        "target": 0.4,
        "within": "P14D",
        "time_to_goal": {"count": 421, "median": "P3DT2H", "p90": "P9DT20H"},
    },
    "messages": _MESSAGES,
    "steps": [
        {
            **_MESSAGES,
            "step": "welcome",
            "reasons": [{"status": "skipped", "reason": "contact opted out of product-news", "count": 22}],
            "templates": [],
        }
    ],
    "questions": [
        {
            "kind": "approval",
            "step": "approve-offer",
            "asked": 40,
            "open": 3,
            "overdue": 1,
            "queued": 0,
            "outcomes": {"approved": 31, "rejected": 4, "expired": 2},
            "answered": {"count": 35, "median": "PT2H10M", "p90": "P1DT4H"},
        }
    ],
    "versions": [{"version": "3f9c0a1b2d4e", "enrolled": 1000, "goal": 421}],
}


class GoalReport(GoalRate):
    event: str = Field(examples=["activated"])
    target: float
    within: timedelta
    time_to_goal: Times = Field(description="from entering to the goal, of those who were late too")


class FlowReport(BaseModel):
    """What came of those who entered a flow in some time."""

    model_config = ConfigDict(populate_by_name=True, json_schema_extra={"example": _EXAMPLE})

    flow: str = Field(examples=["onboarding"])
    since: date | None = Field(alias="from")
    before: date | None = Field(alias="to")
    version: str | None
    counted_at: datetime = Field(description="all of it is as it was at one moment")
    enrolled: int
    active: int = Field(description="of them: in the flow now")
    held: int = Field(description="of the active ones: they, their contact or the flow is held")
    exits: list[ExitCounts] = Field(description="of those who are in the flow no more, most frequent first")
    goal: GoalReport
    messages: MessageCounts = Field(description="of all steps together")
    steps: list[StepCounts] = Field(description="that send, as contacts come to them")
    questions: list[QuestionCounts] = Field(description="what the team was asked, by kind and step")
    versions: list[VersionCounts] = Field(description="builds of the flow's code that the enrolled began on")


async def flow_report(session: AsyncSession, goal: Goal, cohort: Cohort, at: datetime) -> FlowReport:
    """`goal` is the flow's. The session is a new one."""
    await see_one_state(session)
    enrollments = await enrollment_tallies(session, cohort, open_since=at - goal.within)
    messages = await message_tallies(session, cohort)
    steps = await in_order(session, cohort, sorted({tally.step for tally in messages if tally.step is not None}))
    time_to_goal, late = await goal_times(session, cohort, goal.within)
    return FlowReport(
        flow=cohort.flow,
        since=cohort.since,
        before=cohort.before,
        version=cohort.build,
        counted_at=at,
        enrolled=sum(tally.number for tally in enrollments),
        active=sum(tally.number for tally in enrollments if tally.exit is None),
        held=await count_held(session, cohort),
        exits=exits(enrollments),
        goal=GoalReport(
            **goal_rate(goal, enrollments, late).model_dump(),
            event=goal.event,
            target=goal.target,
            within=goal.within,
            time_to_goal=time_to_goal,
        ),
        messages=message_counts(messages),
        steps=step_counts(steps, messages, await reason_tallies(session, cohort)),
        questions=await question_counts(session, cohort, at),
        versions=versions(enrollments),
    )
