"""Handing a contact over to another flow: what its rules allow, once for each step, and told on the timeline."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.enrollments import EndEnrollment, EnrollmentActivities, HandedOver, HandOver
from domain.flows import Exit, FlowType, Goal, OnEdit, Outcome
from store.database import Database
from store.enrollments import enroll, record_outcome
from store.tables import ContactRow, EnrollmentRow
from store.timeline import page_of_timeline
from tests.integrations.crm_contract import ended, enrolled

SALES = FlowType(
    title="Sell",
    goal=Goal(event="bought", target=0.5, within=timedelta(days=1)),
    owner="sales",
    on_edit=OnEdit.FOLLOW,
    reenroll_after=timedelta(days=30),
)


@pytest.fixture
async def lead(database: Database) -> EnrollmentRow:
    return await enrolled(database)


async def in_sales(database: Database, lead: EnrollmentRow) -> EnrollmentRow:
    async with database.write() as session:
        return await enroll(
            session, flow="sales", contact_id=lead.contact_id, settings={}, reenroll_after=SALES.reenroll_after
        )


async def left_sales(database: Database, lead: EnrollmentRow, reenroll_after: timedelta) -> FlowType:
    """The contact was in sales; that flow, as it would let them in again."""
    row = await in_sales(database, lead)
    async with database.write() as session:
        await record_outcome(session, row.id, Outcome(exit=Exit.COMPLETED, step=None))
    return SALES.model_copy(update={"reenroll_after": reenroll_after})


async def hand_over(
    database: Database, lead: EnrollmentRow, flow: FlowType | None = SALES, step: str = "to-sales"
) -> HandedOver:
    activities = EnrollmentActivities(database, {"sales": flow} if flow else {})
    return await ActivityEnvironment().run(
        activities.hand_over, HandOver(enrollment_id=lead.id, step=step, flow="sales")
    )


async def reach_goal(database: Database, lead: EnrollmentRow, flow: FlowType = SALES) -> None:
    outcome = Outcome(exit=Exit.GOAL, step="guide")
    order = EndEnrollment(enrollment_id=lead.id, outcome=outcome, hand_over_to="sales")
    await ActivityEnvironment().run(EnrollmentActivities(database, {"sales": flow}).end, order)


async def told(database: Database, lead: EnrollmentRow, kind: str = "hand_over") -> list[tuple[str, str]]:
    """Kind and text, oldest first."""
    async with database.read() as session:
        contact = await session.get_one(ContactRow, lead.contact_id)
        page = await page_of_timeline(session, contact, limit=50, kind=kind)
    return [(entry.kind, entry.text) for entry in reversed(page.entries)]


async def test_who_is_handed_over_is_told_as_entering(database: Database, lead: EnrollmentRow) -> None:
    for _ in range(2):
        assert await hand_over(database, lead) == HandedOver(status="enrolled", flow="sales")
    assert await told(database, lead) == []
    assert await told(database, lead, "enrollment") == [
        ("enrollment.entered", "Entered nurturing, through the API"),
        ("enrollment.entered", "Entered sales, handed over by nurturing"),
    ]


async def test_who_is_there_already_stays_there_and_the_timeline_says_so(
    database: Database, lead: EnrollmentRow
) -> None:
    await in_sales(database, lead)
    for _ in range(2):
        assert (await hand_over(database, lead)).status == "already_there"
    assert await told(database, lead) == [("hand_over.already_there", "Handed over to sales: in it already")]


async def test_a_refusal_is_told_and_warned_of(
    database: Database, lead: EnrollmentRow, caplog: pytest.LogCaptureFixture
) -> None:
    sales = await left_sales(database, lead, timedelta(days=30))
    refused = await hand_over(database, lead, sales)
    assert (refused.status, (refused.reason or "")[:17]) == ("refused", "not again before ")
    assert await told(database, lead) == [("hand_over.refused", f"Not handed over to sales: {refused.reason}")]
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert vars(warning)["enrollment_id"] == lead.id
    assert "ada" not in str(vars(warning))


async def test_what_a_step_came_to_stands_when_it_is_tried_again(database: Database, lead: EnrollmentRow) -> None:
    sales = await left_sales(database, lead, timedelta(days=30))
    refused = await hand_over(database, lead, sales)
    at_once = sales.model_copy(update={"reenroll_after": timedelta(0)})
    assert await hand_over(database, lead, at_once) == refused
    assert (await hand_over(database, lead, at_once, "again")).status == "enrolled"
    assert len(await told(database, lead)) == 1


async def test_a_flow_that_is_gone_from_the_code_is_told(database: Database, lead: EnrollmentRow) -> None:
    assert (await hand_over(database, lead, None)).status == "refused"
    assert await told(database, lead) == [
        ("hand_over.refused", "Not handed over to sales: no flow of this name in the code")
    ]


async def test_a_goal_whose_flow_takes_nobody_again_is_told(database: Database, lead: EnrollmentRow) -> None:
    sales = await left_sales(database, lead, timedelta(days=30))
    for _ in range(2):
        await reach_goal(database, lead, sales)
    ((kind, text),) = await told(database, lead)
    assert (kind, text[:30]) == ("hand_over.refused", "Not handed over to sales: not ")
    # Changes of the contact are something else.
    assert await told(database, lead, "crm") == []


async def test_nobody_is_handed_over_from_a_flow_they_have_left(database: Database, lead: EnrollmentRow) -> None:
    await ended(database, lead)
    with pytest.raises(ApplicationError, match="leaving"):
        await hand_over(database, lead)
