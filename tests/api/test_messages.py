"""The ledger as the API lists it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, time, timedelta
from typing import Any

import httpx
import pytest

from domain.consent import ConsentState
from domain.deliveries import DeliveryKind, Sign
from domain.frequency import Cap
from domain.messages import MessageClass, MessageStatus
from domain.sending_hours import SendingHours
from domain.sending_rules import Recipient, SendingRules, decide
from store.ledger import note_attempt
from store.ledger_tables import DeliveryEventRow, MessageRow
from store.tables import EnrollmentRow, now
from tests.api.caller import Caller, assert_problem, fields_at_fault
from tests.api.databases import on_both_databases

pytestmark = on_both_databases
NIGHT = datetime(2026, 6, 2, 3, tzinfo=UTC)


async def _messages(api: Caller) -> tuple[dict[str, str], dict[str, str]]:
    """Two contacts' enrollments: the first has two messages, the second one."""
    first = await api.enroll()
    second = await api.enroll(contact={"email": "bo@example.com"})
    async with api.services.database.write() as session:
        for enrollment, step, status in (
            (first, "welcome", MessageStatus.SENT),
            (first, "need-a-hand", MessageStatus.SKIPPED),
            (second, "welcome", MessageStatus.UNCONFIRMED),
        ):
            session.add(
                MessageRow(
                    flow=enrollment["flow"],
                    enrollment_id=enrollment["id"],
                    contact_id=enrollment["contact_id"],
                    step=step,
                    message=step,
                    message_class=MessageClass.RELATIONSHIP,
                    topic="onboarding",
                    status=status,
                    subject="Welcome, Ada",
                    provider="outbox",
                    provider_message_id="receipt-1",
                    handovers=1,
                    sent_at=now(),
                )
            )
            await session.flush()
    return first, second


async def test_messages_are_listed_newest_first_a_page_at_a_time(api: Caller) -> None:
    first, second = await _messages(api)
    page = (await api.get("/v1/messages", limit=2)).json()
    rest = (await api.get("/v1/messages", limit=2, cursor=page["next_cursor"])).json()
    assert [(item["enrollment_id"], item["step"]) for item in page["items"] + rest["items"]] == [
        (second["id"], "welcome"),
        (first["id"], "need-a-hand"),
        (first["id"], "welcome"),
    ]
    assert rest["next_cursor"] is None
    message = rest["items"][0]
    assert message == {
        "id": message["id"],
        "flow": "onboarding",
        "enrollment_id": first["id"],
        "broadcast_id": None,
        "contact_id": first["contact_id"],
        "step": "welcome",
        "variant": None,
        "message": "welcome",
        "message_class": "relationship",
        "topic": "onboarding",
        "status": "sent",
        "subject": "Welcome, Ada",
        "provider": "outbox",
        "provider_message_id": "receipt-1",
        "handovers": 1,
        "reason": None,
        "deferred_until": None,
        "created_at": message["created_at"],
        "updated_at": message["updated_at"],
        "sent_at": message["sent_at"],
    }


async def test_messages_are_filtered(api: Caller) -> None:
    first, second = await _messages(api)

    async def steps(**query: str) -> list[str]:
        return [item["step"] for item in (await api.get("/v1/messages", **query)).json()["items"]]

    assert await steps(contact_id=first["contact_id"]) == ["need-a-hand", "welcome"]
    assert await steps(enrollment_id=second["id"]) == ["welcome"]
    assert await steps(status="unconfirmed") == ["welcome"]
    assert await steps(enrollment_id=second["id"], status="sent") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [("status=lost", "query.status"), ("enrollment_id=1", "query.enrollment_id"), ("cursor=x", "query.cursor")],
)
async def test_bad_question_names_the_field(api: Caller, query: str, field: str) -> None:
    assert fields_at_fault(assert_problem(await api.get(f"/v1/messages?{query}"), 422)) == [field]


async def _unconfirmed(api: Caller) -> dict[str, Any]:
    await _messages(api)
    (message,) = (await api.get("/v1/messages", status="unconfirmed")).json()["items"]
    return dict(message)


async def _settle(api: Caller, message: dict[str, Any], outcome: str, **more: Any) -> httpx.Response:
    return await api.post(f"/v1/messages/{message['id']}/settle", {"outcome": outcome}, **more)


@pytest.mark.parametrize(("outcome", "status"), [("sent", "sent"), ("not_sent", "skipped"), ("resend", "ready")])
async def test_a_person_settles_a_doubt_and_the_same_twice_is_taken_once(
    api: Caller, outcome: str, status: str
) -> None:
    rosa = await api.post("/v1/people", {"email": "rosa@example.com", "name": "Rosa"})
    message = await _unconfirmed(api)
    for _ in range(2):
        answer = await _settle(api, message, outcome, Cauce_Person="rosa@example.com")
        assert (answer.status_code, answer.json()["status"]) == (200, status)
    assert (await api.get("/v1/messages", status="unconfirmed")).json()["items"] == []
    (attempt,) = (await api.get(f"/v1/messages/{message['id']}")).json()["attempts"]
    assert (attempt["outcome"], attempt["by"]) == (outcome, f"person {rosa.json()['id']}")
    other = "not_sent" if outcome == "sent" else "sent"
    assert_problem(await _settle(api, message, other), 409, "not-unconfirmed")


async def test_of_two_people_who_settle_a_doubt_at_once_one_does(api: Caller) -> None:
    message = await _unconfirmed(api)
    answers = await asyncio.gather(*(_settle(api, message, outcome) for outcome in ("sent", "not_sent")))
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_what_a_contact_left_behind_is_not_resent(api: Caller) -> None:
    message = await _unconfirmed(api)
    async with api.services.database.write() as session:
        enrollment = await session.get_one(EnrollmentRow, message["enrollment_id"])
        enrollment.status, enrollment.exit = "ended", "unsubscribed"
    problem = assert_problem(await _settle(api, message, "resend"), 409, "not-resent")
    assert "its enrollment ended: unsubscribed" in problem["detail"]
    assert (await _settle(api, message, "not_sent")).status_code == 200


async def test_messages_that_are_not_there_or_not_in_doubt_are_not_settled(api: Caller) -> None:
    nobody = "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"
    assert_problem(await api.get(f"/v1/messages/{nobody}"), 404, "not-found")
    assert_problem(await api.post(f"/v1/messages/{nobody}/settle", {"outcome": "sent"}), 404, "not-found")
    message = await _unconfirmed(api)
    assert fields_at_fault(assert_problem(await _settle(api, message, "lost"), 422)) == ["body.outcome"]
    (sent,) = (await api.get("/v1/messages", status="sent")).json()["items"]
    assert_problem(await _settle(api, sent, "resend"), 409, "not-unconfirmed")


async def test_a_message_tells_why_with_the_inputs_of_the_decision(api: Caller) -> None:
    message = await _unconfirmed(api)
    in_chile = Recipient(consent=ConsentState.GRANTED, country="CL", sent=[NIGHT], sent_of_any=[NIGHT])
    rules = SendingRules(
        hours=SendingHours(begins=time(9), ends=time(18)),
        caps={MessageClass.MARKETING: (Cap(limit=1, within=timedelta(days=1)),)},
    )
    decision = decide(MessageClass.MARKETING, "offers", in_chile, rules, NIGHT, "m")
    async with api.services.database.write() as session:
        row = await session.get_one(MessageRow, message["id"])
        row.decision = decision.model_dump(mode="json")
        row.status, row.reason, row.deferred_until = MessageStatus.DEFERRED, decision.reason, decision.until
        note_attempt(row, "ready", provider="sendgrid", reason="SendGrid answered 503: it is out of order")
        session.add(delivery(message["id"]))
    told = (await api.get(f"/v1/messages/{message['id']}")).json()
    assert told["decision"] == decision.model_dump(mode="json")
    first, *judged = told["explanation"]
    assert first.startswith("2026-06-02 03:00 UTC: defer, frequency cap")
    assert judged[:4] == [
        "Marketing: needs consent to offers; their word is granted.",
        "The address is not suppressed.",
        "Cap of 1 in 1 day: 1 went out, so not before 2026-06-03 03:00 UTC.",
        "Quiet hours (America/Santiago, the zone of the country): next open 2026-06-02 13:00 UTC to "
        "2026-06-02 22:00 UTC.",
    ]
    assert judged[4].endswith(": ready by sendgrid, SendGrid answered 503: it is out of order.")
    assert judged[5].startswith("Now deferred until 2026-06-03 13:")
    assert [(each["kind"], each["automated"]) for each in told["deliveries"]] == [("opened", "agent")]


def delivery(message_id: str) -> DeliveryEventRow:
    return DeliveryEventRow(
        id="sendgrid:1",
        provider="sendgrid",
        message_id=message_id,
        kind=DeliveryKind.OPENED,
        occurred_at=NIGHT,
        automated=Sign.AGENT,
        raw={},
    )
