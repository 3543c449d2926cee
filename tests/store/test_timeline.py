from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlmodel import SQLModel

from domain.consent import ConsentState
from domain.contacts import ContactProfile
from domain.crm import CrmChange, Sunset
from domain.deliveries import DeliveryKind, Sign
from domain.messages import MessageStatus
from domain.suppressions import SuppressionReason
from store.contacts import upsert_contact
from store.crm import DatabaseCrm
from store.database import Database
from store.events import record_event
from store.ledger_tables import DeliveryEventRow, MessageRow
from store.people_tables import AnswerRow, ApprovalRequestRow, ApprovalRow, AssignmentRow, PersonRow, TaskRow
from store.suppressions import keyed_hash
from store.tables import (
    ConsentRow,
    ContactRow,
    CrmChangeRow,
    EnrollmentRow,
    EventRow,
    HoldRow,
    SuppressionRow,
    new_id,
    now,
)
from store.timeline import Entry, Position, page_of_timeline
from tests.address_keys import ADDRESS_KEYS

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


async def keep(database: Database, *rows: SQLModel) -> None:
    async with database.write() as session:
        for row in rows:
            session.add(row)
            await session.flush()


async def entries(database: Database, contact: ContactRow, kind: str | None = None) -> list[Entry]:
    """The whole timeline, in pages of seven."""
    seen: list[Entry] = []
    before: Position | None = None
    while True:
        async with database.read() as session:
            page = await page_of_timeline(session, contact, limit=7, before=before, kind=kind)
        seen += page.entries
        before = page.last
        if before is None:
            return seen


async def told(database: Database, contact: ContactRow, kind: str | None = None) -> list[tuple[str, str]]:
    """Kind and text of each entry but the first of all, oldest first."""
    return [
        (each.kind, each.text) for each in await entries(database, contact, kind) if each.kind != "contact.created"
    ][::-1]


@pytest.fixture
async def rosa(database: Database) -> PersonRow:
    row = PersonRow(email="rosa@example.com", name="Rosa Pérez", locale="es", time_zone="UTC")
    await keep(database, row)
    return row


@pytest.fixture
async def luis(database: Database) -> PersonRow:
    row = PersonRow(email="luis@example.com", name="Luis Soto", locale="es", time_zone="UTC")
    await keep(database, row)
    return row


@pytest.fixture
async def nurturing(database: Database, ada: ContactRow) -> EnrollmentRow:
    row = EnrollmentRow(flow="nurturing", contact_id=ada.id, created_at=at(0))
    await keep(database, row)
    return row


def of(row: EnrollmentRow, **more: Any) -> dict[str, Any]:
    return {"enrollment_id": row.id, "contact_id": row.contact_id, **more}


async def test_deliveries_say_what_messages_came_to_and_what_machines_did(
    database: Database, ada: ContactRow, nurturing: EnrollmentRow, rosa: PersonRow
) -> None:
    guide = MessageRow(
        flow=nurturing.flow,
        **of(nurturing, step="guide", status=MessageStatus.DELIVERED, sent_at=at(1), updated_at=at(1)),
    )
    team = MessageRow(
        flow=nurturing.flow,
        **of(nurturing, step="approve", status=MessageStatus.DELIVERED, sent_at=at(1), updated_at=at(1)),
        person_id=rosa.id,
    )

    def delivery(hours: float, kind: DeliveryKind, message: MessageRow = guide, **more: Any) -> DeliveryEventRow:
        return DeliveryEventRow(
            id=f"sendgrid:{new_id()}",
            provider="sendgrid",
            message_id=message.id,
            kind=kind,
            occurred_at=at(hours),
            **more,
        )

    await keep(
        database,
        guide,
        team,
        delivery(2, DeliveryKind.PROCESSED),
        delivery(3, DeliveryKind.DELIVERED),
        delivery(4, DeliveryKind.OPENED, automated=Sign.PROVIDER),
        delivery(5, DeliveryKind.CLICKED, automated=Sign.MANY_LINKS, url="https://example.com/a"),
        delivery(6, DeliveryKind.CLICKED),
        delivery(7, DeliveryKind.BLOCKED, reason="refused by the receiving server, Content"),
        delivery(8, DeliveryKind.DROPPED, reason="Spam Content"),
        delivery(9, DeliveryKind.DELIVERED, team),
    )
    assert await told(database, ada, "delivery") == [
        ("delivery.delivered", "Email guide was delivered"),
        ("delivery.opened", "Email guide was opened by a machine: the provider says so"),
        ("delivery.clicked", "Email guide had a link clicked by a machine: many links at once"),
        ("delivery.blocked", "Email guide did not reach them: refused by the receiving server, Content"),
        ("delivery.dropped", "Email guide was dropped by the provider: Spam Content"),
    ]
    (clicked,) = await entries(database, ada, "delivery.clicked")
    assert (clicked.flow, clicked.enrollment_id, clicked.step) == ("nurturing", nurturing.id, "guide")
    assert clicked.details == {"message_id": guide.id, "automated": "many_links", "url": "https://example.com/a"}


async def test_messages_say_what_was_sent_and_what_was_not_and_why(
    database: Database, ada: ContactRow, nurturing: EnrollmentRow, rosa: PersonRow
) -> None:
    def message(hours: float, step: str, status: MessageStatus, **more: Any) -> MessageRow:
        return MessageRow(flow=nurturing.flow, **of(nurturing, step=step, status=status, updated_at=at(hours), **more))

    await keep(
        database,
        message(9, "guide", MessageStatus.SENT, sent_at=at(1), subject="A guide for you"),
        message(2, "tip", MessageStatus.SKIPPED, reason="no consent to product-news"),
        message(3, "offer", MessageStatus.REJECTED, reason="no such mailbox"),
        message(4, "case", MessageStatus.UNCONFIRMED, reason="no answer in time"),
        message(5, "last", MessageStatus.READY, reason="busy"),
        message(6, f"approve-offer/stage-1/{rosa.id}", MessageStatus.SENT, sent_at=at(6), person_id=rosa.id),
        message(7, f"approve-offer/remind-1/{rosa.id}", MessageStatus.SKIPPED, person_id=new_id(), reason="not active"),
    )
    assert await told(database, ada, "message") == [
        ("message.sent", "Email guide was sent “A guide for you”"),
        ("message.skipped", "Email tip was not sent: no consent to product-news"),
        ("message.rejected", "Email offer was refused by the provider: no such mailbox"),
        ("message.unconfirmed", "Email case may have arrived or not: no answer in time"),
        ("message.ready", "Email last was not taken by the provider yet, and is tried again: busy"),
        ("message.sent", "Email to Rosa Pérez of the team about approve-offer was sent"),
        ("message.skipped", "Email to somebody of the team about approve-offer was not sent: not active"),
    ]
    (skipped, _) = await entries(database, ada, "message.rejected") + await entries(database, ada, "message.ready")
    assert (skipped.flow, skipped.enrollment_id, skipped.step) == ("nurturing", nurturing.id, "offer")


async def test_enrollments_say_who_brought_the_contact_in_and_how_they_left(
    database: Database, ada: ContactRow, rosa: PersonRow
) -> None:
    def enrollment(flow: str, hours: float, **more: Any) -> EnrollmentRow:
        ended = {"status": "ended", "ended_at": at(hours + 1)}
        return EnrollmentRow(flow=flow, contact_id=ada.id, created_at=at(hours), **{**ended, **more})

    first = enrollment("nurturing", 0, exit="goal", last_step="clicked", requested_by=rosa.id)
    await keep(
        database,
        first,
        enrollment("assignment", 2, exit="completed", origin="goal", came_from=first.id, skipped_steps=["a", "b"]),
        enrollment(
            "calls", 4, exit="failed", last_step="call", exit_reason="Down", origin="hand-over", came_from=first.id
        ),
        enrollment("winback", 6, exit="cancelled", cancel_requested_at=at(6.5), origin="schedule"),
        enrollment("onboarding", 8, exit="unsubscribed"),
    )
    assert await told(database, ada) == [
        ("enrollment.entered", "Entered nurturing, enrolled by Rosa Pérez"),
        ("enrollment.ended", "Left nurturing at clicked: its goal was reached"),
        ("enrollment.entered", "Entered assignment, since nurturing reached its goal"),
        ("enrollment.steps_skipped", "Did not get what edits of assignment inserted where they had passed: a, b"),
        ("enrollment.ended", "Came to the end of assignment"),
        ("enrollment.entered", "Entered calls, handed over by nurturing"),
        ("enrollment.ended", "Left calls at call: a step failed (Down)"),
        ("enrollment.entered", "Entered winback, by its daily schedule"),
        ("enrollment.cancel_asked", "Somebody asked to cancel winback"),
        ("enrollment.ended", "Left winback: cancelled"),
        ("enrollment.entered", "Entered onboarding, through the API"),
        ("enrollment.ended", "Left onboarding: unsubscribed"),
    ]


async def test_what_the_contact_did_and_allowed_is_told_when_it_happened(database: Database, ada: ContactRow) -> None:
    def reported(name: str, hours: float, late: float = 0, **more: Any) -> EventRow:
        row = EventRow(id=new_id(), contact_id=ada.id, name=name, occurred_at=at(hours), **more)
        row.received_at = at(hours + late)
        return row

    def offers(state: ConsentState, moment: datetime, source: str) -> ConsentRow:
        row = ConsentRow(contact_id=ada.id, topic="offers", state=state, source=source, recorded_by="api")
        row.recorded_at = moment
        return row

    def suppressed(reason: SuppressionReason, moment: datetime) -> SuppressionRow:
        address = keyed_hash(ADDRESS_KEYS[0], ada.email)
        return SuppressionRow(email_hash=address, reason=reason, source="event", created_at=moment)

    await keep(
        database,
        ConsentRow(
            contact_id=ada.id,
            topic="offers",
            state=ConsentState.GRANTED,
            source="api",
            recorded_by="api",
            recorded_at=at(0),
        ),
        reported("clicked", 1, late=3, properties={"url": "https://example.com"}),
        reported("signed_up", 2),
        reported("unsubscribed", 3),
        suppressed(SuppressionReason.UNSUBSCRIBED, at(4)),
        ConsentRow(
            contact_id=ada.id,
            topic="offers",
            state=ConsentState.WITHDRAWN,
            source="page",
            recorded_by="contact",
            recorded_at=at(5),
        ),
        suppressed(SuppressionReason.SUNSET, at(6)),
    )
    assert await told(database, ada) == [
        ("consent.granted", "Agreed to email about offers (source: api)"),
        ("event.clicked", "Clicked a link, reported 3 hours later"),
        ("event.signed_up", "Event signed_up"),
        ("event.unsubscribed", "Unsubscribed"),
        ("suppression.unsubscribed", "The address is not written to any more: unsubscribed"),
        ("consent.withdrawn", "Does not agree to email about offers (source: page)"),
        ("suppression.sunset", "Gets no marketing until they act"),
    ]
    (clicked,) = await entries(database, ada, "event.clicked")
    assert clicked.details == {"name": "clicked", "properties": {"url": "https://example.com"}}


async def test_who_acts_after_a_sunset_gets_marketing_again(
    database: Database, ada: ContactRow, nurturing: EnrollmentRow
) -> None:
    before = now()
    await sunset(database, nurturing, "sunset")
    await sunset(database, nurturing, "sunset-again")
    await act(database, ada, "reported-late", before)
    assert ("suppression.sunset", "Gets no marketing until they act") in await told(database, ada)
    await act(database, ada, "after", now())
    await act(database, ada, "later", now())
    ended = ("crm.sunset", "Sunset: no marketing until the contact acts")
    clicked = ("event.clicked", "Clicked a link")
    lifted = ("sunset.lifted", "Gets marketing again: the contact acted after the sunset")
    assert [each for each in await told(database, ada) if not each[0].startswith("enrollment")] == [
        clicked,
        ended,
        ended,
        clicked,
        lifted,
        clicked,
    ]


async def test_each_sunset_is_lifted_by_an_act_of_its_own(
    database: Database, ada: ContactRow, nurturing: EnrollmentRow
) -> None:
    for number in ("first", "second"):
        await sunset(database, nurturing, number)
        await act(database, ada, number, now())
    assert len(await told(database, ada, "sunset")) == 2


async def sunset(database: Database, enrollment: EnrollmentRow, step: str) -> None:
    order = CrmChange(enrollment_id=enrollment.id, step=step, change=Sunset(), asked_at=now())
    await DatabaseCrm(database).apply(order)


async def act(database: Database, contact: ContactRow, event_id: str, occurred_at: datetime) -> None:
    async with database.write() as session:
        row = EventRow(id=event_id, contact_id=contact.id, name="clicked", occurred_at=occurred_at)
        await record_event(session, contact, row)


async def test_changes_of_the_contact_say_what_is_now(
    database: Database, ada: ContactRow, nurturing: EnrollmentRow, rosa: PersonRow
) -> None:
    changes: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("score", {"points": 10}, {"score": 40}),
        ("score", {"points": -5}, {"score": 35}),
        ("lifecycle", {"stage": "qualified"}, {"stage": "qualified"}),
        ("fields", {"fields": {"plan": "team", "seats": 3}}, {}),
        ("owner", {"person_id": rosa.id}, {"owner_id": rosa.id}),
        ("owner", {"person_id": None}, {"owner_id": None}),
        ("note", {"text": "asked for a demo"}, {}),
        ("sunset", {}, {}),
    ]
    for number, (kind, change, result) in enumerate(changes):
        row = CrmChangeRow(**of(nurturing, step=f"s{number}"), kind=kind, change=change, result=result)
        row.created_at = at(number)
        await keep(database, row)
    refused = CrmChangeRow(**of(nurturing, step="r", kind="score", created_at=at(20)), refusal="beyond the limit")
    await keep(database, refused)
    assert await told(database, ada, "crm") == [
        ("crm.score", "Score +10 is now 40"),
        ("crm.score", "Score -5 is now 35"),
        ("crm.lifecycle", "Lifecycle stage is now qualified"),
        ("crm.fields", "Fields changed: plan, seats"),
        ("crm.owner", "Rosa Pérez is the lead owner now"),
        ("crm.owner", "There is no lead owner any more"),
        ("crm.note", "Note: asked for a demo"),
        ("crm.sunset", "Sunset: no marketing until the contact acts"),
        ("crm.score", "Score did not change: beyond the limit"),
    ]


async def test_approvals_say_who_was_asked_and_who_decided(
    database: Database, ada: ContactRow, nurturing: EnrollmentRow, rosa: PersonRow, luis: PersonRow
) -> None:
    def approval(step: str, hours: float, status: str, closed: float | None) -> ApprovalRow:
        row = ApprovalRow(
            **of(nurturing, flow="nurturing", step=step), subject=f"Offer {step}", content_hash="", status=status
        )
        row.created_at, row.closed_at = at(hours), None if closed is None else at(closed)
        row.stages = [{}, {}]
        return row

    def answer(row: ApprovalRow, who: PersonRow, choice: str, hours: float, **more: Any) -> AnswerRow:
        given: dict[str, Any] = {"status": "taken", **more}
        return AnswerRow(question_id=row.id, person_id=who.id, choice=choice, created_at=at(hours), **given)

    def asked(row: ApprovalRow, who: PersonRow, hours: float, reason: str) -> ApprovalRequestRow:
        return ApprovalRequestRow(approval_id=row.id, stage=0, person_id=who.id, reason=reason, created_at=at(hours))

    first, second, third = (
        approval("one", 1, "approved", 6),
        approval("two", 7, "expired", 8),
        approval("three", 9, "pending", None),
    )
    await keep(database, first, second, third)
    await keep(
        database,
        asked(first, rosa, 1, "asked").sqlmodel_update({"delegated_to": luis.id}),
        answer(first, rosa, "delegate", 2, delegate_id=luis.id),
        asked(first, luis, 2, "delegated"),
        answer(first, luis, "approve", 3, comment="worth it"),
        answer(first, rosa, "reject", 4, status="refused", refusal="NotAsked"),
        answer(first, luis, "reject", 5, status="refused", refusal="AlreadyAnswered"),
        answer(first, luis, "reject", 6.5, status="refused", refusal="NotPending"),
        asked(second, rosa, 7, "asked"),
        asked(second, luis, 7.5, "escalated"),
    )
    assert await told(database, ada) == [
        ("enrollment.entered", "Entered nurturing, through the API"),
        ("approval.asked", "Rosa Pérez asked to approve, in 2 rounds: Offer one"),
        ("approval.delegated", "Luis Soto asked to approve in place of Rosa Pérez: Offer one"),
        ("answer.taken", "Rosa Pérez has Luis Soto answer in their place: Offer one"),
        ("answer.taken", "Luis Soto approved: Offer one “worth it”"),
        ("answer.refused", "Rosa Pérez rejected, which does not count, for they were not asked: Offer one"),
        ("answer.refused", "Luis Soto rejected, which does not count, for they had answered before: Offer one"),
        ("approval.approved", "Approved by Luis Soto: Offer one"),
        ("answer.refused", "Luis Soto rejected, which does not count, for it was not open any more: Offer one"),
        ("approval.asked", "Rosa Pérez asked to approve, in 2 rounds: Offer two"),
        ("approval.escalated", "Luis Soto asked to approve since nobody had answered: Offer two"),
        ("approval.expired", "Nobody decided in time: Offer two"),
        ("approval.asked", "Nobody asked to approve, in 2 rounds: Offer three"),
    ]
    where = {(each.flow, each.enrollment_id, each.step) for each in await entries(database, ada, "answer")}
    assert where == {("nurturing", nurturing.id, "one")}
    (escalated,) = await entries(database, ada, "approval.escalated")
    assert (escalated.flow, escalated.step) == ("nurturing", "two")


async def test_tasks_and_leads_say_who_has_them_and_what_became_of_them(
    database: Database, ada: ContactRow, nurturing: EnrollmentRow, rosa: PersonRow, luis: PersonRow
) -> None:
    in_flow = of(nurturing, flow="nurturing")
    call = TaskRow(**in_flow, step="call", subject="Call them", person_id=rosa.id, due_at=at(24), status="done")
    call.created_at, call.closed_at, call.done_by = at(1), at(2), luis.id
    visit = TaskRow(**in_flow, step="visit", subject="Visit them", role="sales", status="overdue")
    visit.created_at, visit.closed_at = at(3), at(4)
    reasons = [
        {"rule": "chile", "verdict": "matched", "detail": "is for the team andes"},
        {"rule": "chile", "verdict": "passed_over", "person": luis.id, "detail": "has 5 leads, as many as they take"},
        {"rule": "chile", "verdict": "chosen", "person": rosa.id, "detail": "had none yet"},
    ]

    def decision(number: int, hours: float, status: str, closed: float | None, **more: Any) -> AssignmentRow:
        row = AssignmentRow(**in_flow, step="rep", number=number, status=status, **more)
        row.created_at, row.closed_at = at(hours), None if closed is None else at(closed)
        return row

    offered = decision(1, 5, "declined", 6, person_id=rosa.id, rule="chile", reasons=reasons, respond_by=at(9))
    await keep(
        database,
        call,
        visit,
        offered,
        AnswerRow(question_id=call.id, person_id=luis.id, choice="done", status="taken", comment="nice"),
        AnswerRow(question_id=offered.id, person_id=rosa.id, choice="decline", status="taken", comment="too far"),
        decision(2, 7, "drained", 8, reasons=reasons[:2]),
        decision(3, 9, "lapsed", 10, person_id=luis.id),
        decision(4, 11, "accepted", 12, person_id=rosa.id),
        late := AnswerRow(
            question_id=offered.id, person_id=rosa.id, choice="accept", status="refused", created_at=at(13)
        ),
    )
    (refused,) = await entries(database, ada, "answer")
    assert (refused.ref, refused.flow, refused.step) == (late.id, "nurturing", "rep")
    assert await told(database, ada) == [
        ("enrollment.entered", "Entered nurturing, through the API"),
        ("task.given", "Task for Rosa Pérez, due 2026-11-24 12:00 UTC: Call them"),
        ("task.done", "Task done by Luis Soto: Call them “nice”"),
        ("task.given", "Task for anybody in the role sales: Visit them"),
        ("task.overdue", "Nobody did the task in time: Visit them"),
        (
            "lead.offered",
            "Lead offered to Rosa Pérez by the rule chile, to be answered by 2026-11-23 21:00 UTC; "
            "passed over: Luis Soto (has 5 leads, as many as they take)",
        ),
        ("lead.declined", "Rosa Pérez declined the lead “too far”"),
        (
            "lead.queued",
            "Nobody could take the lead, which waits in the queue; "
            "passed over: Luis Soto (has 5 leads, as many as they take)",
        ),
        ("lead.drained", "The lead came out of the queue"),
        ("lead.offered", "Lead offered to Luis Soto"),
        ("lead.lapsed", "Luis Soto did not answer in time: the lead goes on"),
        ("lead.offered", "Lead offered to Rosa Pérez"),
        ("lead.accepted", "Rosa Pérez accepted the lead"),
        ("answer.refused", "Rosa Pérez accepted, which does not count: the lead"),
    ]
    (offer, *_) = (await entries(database, ada, "lead.offered"))[::-1]
    assert offer.details["reasons"] == reasons


async def test_a_rule_may_be_called_by_hand_and_a_product_too(
    database: Database, ada: ContactRow, nurturing: EnrollmentRow, rosa: PersonRow
) -> None:
    mismatches = [{"what": "product", "value": "by_hand", "among": ["crm"]}]
    reasons: list[dict[str, Any]] = [
        {"rule": "crm", "verdict": "not_matched", "mismatches": mismatches, "detail": "product is by_hand"},
        {"rule": "by-hand", "verdict": "chosen", "person": rosa.id, "detail": "had none yet"},
    ]
    offered = AssignmentRow(**of(nurturing, flow="nurturing", step="rep"), number=1, status="accepted")
    offered.person_id, offered.rule, offered.reasons = rosa.id, "by-hand", reasons
    offered.created_at, offered.closed_at = at(1), at(2)
    await keep(database, offered)
    assert await told(database, ada, "lead") == [
        ("lead.offered", "Lead offered to Rosa Pérez by the rule by-hand"),
        ("lead.accepted", "Rosa Pérez accepted the lead"),
    ]


async def test_a_lead_that_was_given_by_hand_says_by_whom(
    database: Database, ada: ContactRow, nurturing: EnrollmentRow, rosa: PersonRow, luis: PersonRow
) -> None:
    in_flow = of(nurturing, flow="nurturing", step="rep")
    reasons = [{"verdict": "by_hand", "detail": "", "person": rosa.id, "by": luis.id}]
    queued = AssignmentRow(**in_flow, number=1, status="drained", created_at=at(1), closed_at=at(2))
    given = AssignmentRow(**in_flow, number=2, status="accepted", person_id=rosa.id, reasons=reasons)
    given.created_at = given.closed_at = at(2.1)
    await keep(database, queued, given)
    assert await told(database, ada, "lead") == [
        ("lead.queued", "Nobody could take the lead, which waits in the queue"),
        ("lead.drained", "The lead came out of the queue"),
        ("lead.given", "Luis Soto gave the lead to Rosa Pérez by hand"),
    ]


async def test_holds_are_told_as_far_as_they_concerned_the_contact(
    database: Database, ada: ContactRow, nurturing: EnrollmentRow
) -> None:
    async with database.write() as session:
        row = await session.get_one(EnrollmentRow, nurturing.id)
        row.status, row.ended_at, row.exit = "ended", at(10), "completed"

    def hold(scope: str, target: str, hours: float, until: float | None) -> HoldRow:
        resumed = None if until is None else at(until)
        return HoldRow(scope=scope, target=target, held_at=at(hours), resumed_at=resumed)

    await keep(
        database,
        hold("flow", "nurturing", -3, -2),
        hold("flow", "nurturing", -1, 1),
        hold("flow", "onboarding", 1, 2),
        hold("enrollment", nurturing.id, 2, 3),
        hold("enrollment", new_id(), 2, 3),
        hold("contact", ada.id, 4, None),
        hold("contact", new_id(), 4, None),
        hold("flow", "nurturing", 9, 10.5),
        hold("flow", "nurturing", 11, None),
    )
    assert await told(database, ada) == [
        ("enrollment.entered", "Entered nurturing, through the API"),
        ("hold.flow", "All of nurturing was held already: nothing begins until it is resumed"),
        ("resume.flow", "Resumed with all of nurturing"),
        ("hold.enrollment", "Held in nurturing: nothing begins until it is resumed"),
        ("resume.enrollment", "Resumed in nurturing"),
        ("hold.contact", "Held in every flow: nothing begins until it is resumed"),
        ("hold.flow", "Held with all of nurturing: nothing begins until it is resumed"),
        ("enrollment.ended", "Came to the end of nurturing"),
    ]
    assert all(entry.flow == "nurturing" for entry in await entries(database, ada, "hold.flow"))


@pytest.mark.parametrize(("until", "count"), [(-2, 0), (1, 1), (None, 1)])
async def test_only_a_hold_that_lasts_as_an_enrollment_begins_is_told_of_it(
    database: Database, ada: ContactRow, nurturing: EnrollmentRow, until: float | None, count: int
) -> None:
    resumed = None if until is None else at(until)
    await keep(database, HoldRow(scope="flow", target="nurturing", held_at=at(-3), resumed_at=resumed))
    assert len(await told(database, ada, "hold")) == count


async def test_nothing_of_other_contacts_is_told(database: Database, ada: ContactRow, nurturing: EnrollmentRow) -> None:
    async with database.write() as session:
        bo = (await upsert_contact(session, ContactProfile(email="bo@example.com"), {}, "test")).contact
    assert await told(database, bo) == []
    assert [each.kind for each in await entries(database, bo)] == ["contact.created"]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moments=st.lists(st.tuples(st.sampled_from(["event", "message", "consent"]), st.integers(0, 3)), max_size=25),
    limit=st.integers(1, 6),
)
async def test_pages_hold_everything_once_in_order_even_at_one_moment(
    database: Database, ada: ContactRow, moments: list[tuple[str, int]], limit: int
) -> None:
    async with database.write() as session:
        bo = (await upsert_contact(session, ContactProfile(email=f"{new_id()}@example.com"), {}, "test")).contact
        enrollment = EnrollmentRow(flow="nurturing", contact_id=bo.id, created_at=at(1))
        session.add(enrollment)
        await session.flush()
        for number, (kind, hours) in enumerate(moments):
            # Ids that databases sort in different ways.
            id_ = f"{'aB-_b A'[number % 7]}{new_id()}"
            session.add(_of_kind(kind, id_, bo, enrollment, at(hours)))
    async with database.read() as session:
        whole = (await page_of_timeline(session, bo, limit=100)).entries
    paged: list[Entry] = []
    before: Position | None = None
    while True:
        async with database.read() as session:
            page = await page_of_timeline(session, bo, limit=limit, before=before)
        paged += page.entries
        before = page.last
        if before is None:
            break
    assert paged == whole
    assert len({each.ref for each in whole}) == len(whole) == len(moments) + 2
    assert [each.at for each in whole] == sorted((each.at for each in whole), reverse=True)


def _of_kind(kind: str, id_: str, who: ContactRow, enrollment: EnrollmentRow, moment: datetime) -> SQLModel:
    if kind == "event":
        return EventRow(id=id_, contact_id=who.id, name="clicked", occurred_at=moment, received_at=moment)
    if kind == "consent":
        return ConsentRow(
            id=id_[:36],
            contact_id=who.id,
            topic="offers",
            state=ConsentState.GRANTED,
            source="",
            recorded_by="api",
            recorded_at=moment,
        )
    return MessageRow(
        flow=enrollment.flow,
        id=id_[:36],
        **of(enrollment),
        step=id_,
        status=MessageStatus.SENT,
        sent_at=moment,
        updated_at=moment,
    )


async def test_a_page_of_thousands_of_events_is_read_from_an_index(database: Database, ada: ContactRow) -> None:
    rows = [
        {
            "id": new_id(),
            "contact_id": ada.id,
            "name": "clicked",
            "occurred_at": at(number),
            "properties": {},
            "received_at": at(number),
        }
        for number in range(5000)
    ]
    async with database.write() as session:
        await (await session.connection()).execute(EventRow.__table__.insert(), rows)  # type: ignore[attr-defined]
    async with database.write() as session:
        await (await session.connection()).execute(text("ANALYZE"))
    statements: list[tuple[str, Any]] = []

    def keep_statement(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        statements.append((statement, parameters))

    async with database.read() as session:
        connection = await session.connection()
        event.listen(connection.sync_connection, "before_cursor_execute", keep_statement)
        page = await page_of_timeline(session, ada, limit=50, before=Position(at(4000), "event", str(rows[4000]["id"])))
        event.remove(connection.sync_connection, "before_cursor_execute", keep_statement)
        assert [each.at for each in page.entries] == [at(3999 - number) for number in range(50)]
        (query,) = (each for each in statements if "FROM events" in each[0])
        explain = "EXPLAIN QUERY PLAN" if database.url.get_backend_name() == "sqlite" else "EXPLAIN"
        plan = str((await connection.exec_driver_sql(f"{explain} {query[0]}", query[1])).all())
    # PostgreSQL names the index of each month by its columns.
    assert "ix_events_happened" in plan or "contact_id_occurred_at_id_idx" in plan
    assert "Seq Scan" not in plan
    assert "Sort  (cost" not in plan
    assert "TEMP B-TREE" not in plan
