"""The ledger as the API lists it."""

from __future__ import annotations

import pytest

from domain.messages import MessageStatus
from store.tables import MessageRow, now
from tests.api.caller import Caller, assert_problem, fields_at_fault
from tests.api.databases import on_both_databases

pytestmark = on_both_databases


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
                    enrollment_id=enrollment["id"],
                    contact_id=enrollment["contact_id"],
                    step=step,
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
        "enrollment_id": first["id"],
        "contact_id": first["contact_id"],
        "step": "welcome",
        "status": "sent",
        "subject": "Welcome, Ada",
        "provider": "outbox",
        "provider_message_id": "receipt-1",
        "handovers": 1,
        "reason": None,
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
