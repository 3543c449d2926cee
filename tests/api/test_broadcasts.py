"""Broadcasts by HTTP: asked for, read, held, resumed and cancelled; and a doubt about one of its messages."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from sqlmodel import select
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.testing import WorkflowEnvironment

from domain.broadcasts import BroadcastStatus
from domain.messages import MessageStatus
from runtime.broadcasting import broadcast_workflow_id, cancel_ended_outside
from runtime.dispatch import Dispatcher
from runtime.settings import Settings
from runtime.sweep import Sweep
from store import broadcast_ledger
from store.ledger_tables import MessageRow
from store.list_tables import BroadcastRow
from store.tables import EventRow, now
from tests.api.caller import Caller, assert_problem, calling, client_of_nobody, fields_at_fault
from tests.waiting import until

PATH = "/v1/broadcasts"
SUBJECT = {"en": "Hi {{ contact.first_name }}", "es": "Hola"}
VARIANTS = [{"name": "a", "subject": SUBJECT}, {"name": "b", "subject": {"en": "News", "es": "Novedades"}}]


async def order(api: Caller, **more: Any) -> dict[str, Any]:
    contact = await api.contact()
    return {"name": "News", "message": "product-update", "source": {"contact_ids": [contact["id"]]}, **more}


async def made(api: Caller, **more: Any) -> dict[str, Any]:
    answer = await api.post(PATH, await order(api, **more))
    assert answer.status_code == 202, answer.text
    broadcast: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{PATH}/{broadcast['id']}"
    return broadcast


async def stored(api: Caller, broadcast: dict[str, Any]) -> BroadcastRow:
    async with api.services.database.read() as session:
        return await session.get_one(BroadcastRow, broadcast["id"])


async def message_of(
    api: Caller, broadcast: dict[str, Any], status: MessageStatus, variant: str | None = None, **values: Any
) -> str:
    """A row of its ledger, as a batch would have left it."""
    row = await stored(api, broadcast)
    (contact,) = await api.contacts()
    new = broadcast_ledger.new_row(row, contact.id, variant, status=status, **values)
    async with api.services.database.write() as session:
        await broadcast_ledger.add_rows(session, [new])
        kept = await session.get_one(BroadcastRow, row.id)
        kept.size = 1
        session.add(kept)
    return str(new["id"])


async def test_one_is_taken_begun_and_listed(api: Caller, temporal: WorkflowEnvironment) -> None:
    broadcast = await made(api, holdout=0.1, goal_event="bought", test={"share": 0.5, "variants": VARIANTS})
    assert (broadcast["status"], broadcast["source"], broadcast["settings"]["holdout"]) == (
        "waiting",
        {"contacts": 1},
        0.1,
    )
    run = await temporal.client.get_workflow_handle(broadcast["workflow_id"]).describe()
    assert (run.status, run.task_queue) == (WorkflowExecutionStatus.RUNNING, "cauce-broadcasts")
    assert (await stored(api, broadcast)).begun_at is not None
    second = await made(api, name="Other")
    page = (await api.get(PATH, limit=1, status="waiting")).json()
    assert [item["name"] for item in page["items"]] == [second["name"]]
    rest = (await api.get(PATH, cursor=page["next_cursor"])).json()
    assert [item["id"] for item in rest["items"]] == [broadcast["id"]]


async def test_the_same_key_makes_it_once(api: Caller) -> None:
    request = await order(api)
    first = await api.post(PATH, request, Idempotency_Key="news-1")
    again = await api.post(PATH, request, Idempotency_Key="news-1")
    assert (first.status_code, again.status_code, first.json()["id"]) == (202, 202, again.json()["id"])
    other = await api.post(PATH, {**request, "name": "Else"}, Idempotency_Key="news-1")
    assert_problem(other, 422, "idempotency-key-reused")


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"message": "nothing"}, "body.message", "names no message: broadcast has no message nothing"),
        ({"message": "../people/task"}, "body.message", "pattern"),
        ({"source": {"segment_id": str(uuid4())}}, "body.source", "there is no segment with this id"),
        ({"source": {}}, "body.source", "exactly one"),
        ({"at": "2026-12-01T09:00:00Z", "at_local": "2026-12-01T09:00:00"}, "body", "either at or at_local"),
        ({"at_local": "2026-12-01T09:00:00Z"}, "body.at_local", "without a zone"),
        ({"holdout": 0.9}, "body.holdout", "less than or equal to 0.5"),
        (
            {"test": {"share": 0.1, "variants": [VARIANTS[0], {"name": "b", "subject": {"en": "News"}}]}},
            "body.test.variants.1.subject",
            "is missing in es",
        ),
        (
            {"test": {"share": 0.1, "variants": [{"name": "a", "subject": {**SUBJECT, "fr": "Salut"}}, VARIANTS[1]]}},
            "body.test.variants.0.subject.fr",
            "not written in",
        ),
        (
            {"test": {"share": 0.1, "variants": [{"name": "a", "subject": {**SUBJECT, "en": "{{ oops"}}, VARIANTS[1]]}},
            "body.test.variants.0.subject.en",
            "not valid Jinja",
        ),
        (
            {
                "test": {
                    "share": 0.1,
                    "variants": [{"name": "a", "subject": {**SUBJECT, "en": "{{ contact.shoe }}"}}, VARIANTS[1]],
                }
            },
            "body.test.variants.0.subject.en",
            "contact.shoe",
        ),
        ({"test": {"share": 0.1, "variants": [VARIANTS[0]] * 2}}, "body.test", "same name"),
        ({"message": "product-update", "surprise": 1}, "body.surprise", "is not known here"),
    ],
)
async def test_what_cannot_be_sent_is_refused_by_name(
    api: Caller, change: dict[str, Any], field: str, words: str
) -> None:
    answer = await api.post(PATH, {**await order(api), **change})
    problem = assert_problem(answer, 422, "invalid-request")
    assert field in fields_at_fault(problem)
    assert words in problem["detail"]
    assert (await api.get(PATH)).json()["items"] == []


async def test_what_came_of_it_is_told_by_status_variant_and_goal(api: Caller) -> None:
    broadcast = await made(api, goal_event="bought")
    await message_of(api, broadcast, MessageStatus.CLICKED, clicked=True)
    (contact,) = await api.contacts()
    async with api.services.database.write() as session:
        session.add(EventRow(id="e1", contact_id=contact.id, name="bought", occurred_at=now()))
    told = (await api.get(f"{PATH}/{broadcast['id']}")).json()
    assert (told["by_status"], told["holdout"]) == ({"clicked": 1}, 0)
    assert told["variants"] == [{"name": None, "sent": 1, "clicked": 1, "click_rate": 1.0, "by_status": {"clicked": 1}}]
    assert told["goal"] == {
        "event": "bought",
        "contacts": 1,
        "reached": 1,
        "held_out": 0,
        "reached_in_holdout": 0,
    }
    listed = (await api.get("/v1/messages", broadcast_id=broadcast["id"])).json()["items"]
    assert [(item["flow"], item["enrollment_id"], item["broadcast_id"]) for item in listed] == [
        ("broadcast", None, broadcast["id"])
    ]


async def test_it_is_held_resumed_and_cancelled_and_its_workflow_told(
    api: Caller, temporal: WorkflowEnvironment
) -> None:
    broadcast = await made(api)
    path = f"{PATH}/{broadcast['id']}"
    for verb, status in (("hold", "held"), ("hold", "held"), ("resume", "waiting"), ("cancel", "cancelling")):
        answer = await api.post(f"{path}/{verb}")
        assert (answer.json()["status"], answer.is_success) == (status, True)
    assert (await api.post(f"{path}/cancel")).status_code == 202
    assert_problem(await api.post(f"{path}/resume"), 409, "not-now")
    assert (await stored(api, broadcast)).to_tell_since is None
    history = await temporal.client.get_workflow_handle(broadcast["workflow_id"]).fetch_history()
    signals = [event for event in history.events if event.HasField("workflow_execution_signaled_event_attributes")]
    assert len(signals) == 3
    assert_problem(await api.post(f"{PATH}/{uuid4()}/hold"), 404, "not-found")


async def test_a_doubt_about_one_of_its_messages_is_settled_by_having_it_resent(
    api: Caller, temporal: WorkflowEnvironment
) -> None:
    broadcast = await made(api)
    message_id = await message_of(api, broadcast, MessageStatus.UNCONFIRMED, handed_over_at=now(), handovers=1)
    answer = await api.post(f"/v1/messages/{message_id}/settle", {"outcome": "resend"})
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    run = await temporal.client.get_workflow_handle(f"resend:{message_id}").describe()
    assert run.status is WorkflowExecutionStatus.RUNNING


async def test_what_temporal_was_not_told_the_sweep_tells(settings: Settings, temporal: WorkflowEnvironment) -> None:
    async with calling(settings, await client_of_nobody(1)) as api:
        broadcast = await made(api)
        row = await stored(api, broadcast)
        assert row.begun_at is None
        await api.post(f"{PATH}/{broadcast['id']}/hold")
        dispatcher = Dispatcher(api.services.database, temporal.client, {})
        done = await Sweep(dispatcher).run(grace=now() - now(), closed_since=now())
        assert done["broadcasts_told"] == 1
        row = await stored(api, broadcast)
        assert (row.begun_at is not None, row.to_tell_since) == (True, None)
    assert await _status(temporal.client, broadcast) is WorkflowExecutionStatus.RUNNING


async def test_one_terminated_in_temporal_is_cancelled_and_conducted_to_its_end(
    api: Caller, temporal: WorkflowEnvironment
) -> None:
    began = now()
    broadcast = await made(api)
    await temporal.client.get_workflow_handle(broadcast["workflow_id"]).terminate()

    async def noticed() -> bool:
        await cancel_ended_outside(temporal.client, began, api.services.database)
        return (await stored(api, broadcast)).status == BroadcastStatus.CANCELLING

    await until(noticed, within=20, every=0.3)
    assert (await stored(api, broadcast)).reason == "terminated in Temporal"
    assert await _status(temporal.client, broadcast) is WorkflowExecutionStatus.RUNNING
    async with api.services.database.read() as session:
        assert (await session.exec(select(MessageRow))).all() == []


async def _status(client: Client, broadcast: dict[str, Any]) -> WorkflowExecutionStatus | None:
    return (await client.get_workflow_handle(broadcast_workflow_id(broadcast["id"])).describe()).status
