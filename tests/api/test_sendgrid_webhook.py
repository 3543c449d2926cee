"""SendGrid's event webhook: who may tell, what is taken, and which flows hear of it."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import select
from temporalio.testing import WorkflowEnvironment

from api.routers.webhooks import MAX_BODY_BYTES
from domain.messages import MessageStatus
from runtime.dispatch import Dispatcher
from runtime.settings import Settings
from runtime.sweep import Sweep
from store.ledger_tables import DeliveryEventRow, MessageRow
from store.tables import new_id, now
from tests.api.caller import Caller, assert_problem, calling
from tests.integrations.fake_sendgrid import API_KEY, FakeSendGrid
from tests.integrations.sendgrid_webhook import WebhookSigner, webhook_event

PATH = "/v1/webhooks/sendgrid"
SIGNER = WebhookSigner()
OF_THE_API = "key-of-sixteen-characters"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {"data_dir": tmp_path / "data", "database_url": database_url, "sendgrid_webhook_key": SIGNER.key}
    )


@pytest.fixture
async def keyed(sqlite_url: str, tmp_path: Path, temporal: WorkflowEnvironment) -> AsyncIterator[Caller]:
    """With API keys, and without a webhook key."""
    settings = Settings.model_validate(
        {"data_dir": tmp_path / "keyed", "database_url": sqlite_url, "api_keys": (OF_THE_API,)}
    )
    async with calling(settings, temporal.client) as caller:
        yield caller


async def post(api: Caller, body: bytes, **headers: str) -> httpx.Response:
    """As SendGrid does."""
    return await api.http.post(PATH, content=body, headers={**SIGNER.headers(body), **headers})


async def told(api: Caller, *events: dict[str, Any]) -> dict[str, int]:
    answer = await post(api, json.dumps(events).encode())
    assert answer.status_code == 202, answer.text
    counts: dict[str, int] = answer.json()
    return counts


async def sent(api: Caller, enrollment: dict[str, Any], status: MessageStatus = MessageStatus.SENT) -> MessageRow:
    """A message of an enrollment, as the email activity leaves it."""
    row = MessageRow(
        flow=enrollment["flow"],
        enrollment_id=enrollment["id"],
        contact_id=enrollment["contact_id"],
        step=new_id(),
        status=status,
        handovers=1,
    )
    async with api.services.database.write() as session:
        session.add(row)
    return row


async def status_of(api: Caller, message: MessageRow) -> str:
    async with api.services.database.read() as session:
        return (await session.get_one(MessageRow, message.id)).status


async def kept(api: Caller) -> list[DeliveryEventRow]:
    async with api.services.database.read() as session:
        return list(await session.exec(select(DeliveryEventRow)))


async def signals(api: Caller, enrollment: dict[str, Any]) -> int:
    handle = api.services.client.get_workflow_handle(enrollment["workflow_id"])
    return str((await handle.fetch_history()).events).count("workflow_execution_signaled_event_attributes")


async def test_what_sendgrid_signed_is_taken_without_an_api_key_and_counted(api: Caller) -> None:
    message = await sent(api, await api.enroll())
    delivered = webhook_event("delivered", message.id, now())
    body = json.dumps([delivered, delivered, webhook_event("group_hug", message.id, now()), 42]).encode()
    answer = await post(api, body)
    assert (answer.status_code, answer.json()) == (
        202,
        {"received": 4, "new": 3, "duplicates": 1, "unknown": 1, "junk": 1},
    )
    assert (await post(api, body)).json() == {"received": 4, "new": 0, "duplicates": 4, "unknown": 1, "junk": 1}
    assert await status_of(api, message) == "delivered"
    metrics = (await api.get("/metrics")).text
    assert 'cauce_api_delivery_events_total{kind="delivered",result="recorded"} 1.0' in metrics
    assert 'cauce_api_delivery_events_total{kind="delivered",result="repeated"} 3.0' in metrics
    assert 'cauce_api_delivery_events_total{kind="junk",result="recorded"} 1.0' in metrics


async def test_what_is_not_signed_or_was_changed_is_refused_and_not_kept(api: Caller) -> None:
    body = json.dumps([webhook_event("delivered", None, now())]).encode()
    signed = SIGNER.headers(body)
    timestamp, signature = "X-Twilio-Email-Event-Webhook-Timestamp", "X-Twilio-Email-Event-Webhook-Signature"
    refused = [
        await api.http.post(PATH, content=body),
        await api.http.post(PATH, content=body, headers={timestamp: signed[timestamp]}),
        await api.http.post(PATH, content=body, headers={signature: signed[signature]}),
        await api.http.post(PATH, content=body, headers={"Authorization": f"Bearer {OF_THE_API}"}),
        await post(api, body, **{signature: WebhookSigner().headers(body)[signature]}),
        await post(api, body, **{timestamp: "1"}),
        await api.http.post(PATH, content=body + b"\n", headers=signed),
        await api.http.post(PATH, content=b"", headers=signed),
    ]
    for answer in refused:
        problem = assert_problem(answer, 401, "not-signed")
        assert signed[signature] not in str(problem)
    assert await kept(api) == []
    assert (await post(api, body)).status_code == 202


async def test_a_request_that_is_repeated_by_anybody_brings_nothing(api: Caller) -> None:
    message = await sent(api, await api.enroll())
    body = json.dumps([webhook_event("delivered", message.id, now())]).encode()
    old = SIGNER.headers(body, "1600000000")
    answers = [await api.http.post(PATH, content=body, headers=old) for _ in range(2)]
    assert [answer.json()["new"] for answer in answers] == [1, 0]


async def test_without_a_webhook_key_an_api_key_is_needed(keyed: Caller) -> None:
    body = json.dumps([webhook_event("delivered", None, now())]).encode()
    assert_problem(await post(keyed, body), 401, "unauthorized")
    assert_problem(await post(keyed, body, Authorization="Bearer wrong"), 401, "unauthorized")
    assert await kept(keyed) == []
    bearer = {"Authorization": f"Bearer {OF_THE_API}"}
    assert_problem(await keyed.http.post(PATH, content=body, headers={**bearer, "Content-Type": "text/plain"}), 415)
    answer = await keyed.http.post(PATH, content=body, headers={**bearer, "Content-Type": "application/json"})
    assert answer.json()["new"] == 1


@pytest.mark.parametrize(
    ("body", "received"),
    [
        (b"", 0),
        (b"[]", 0),
        (b"{}", 1),
        (b"null", 1),
        (b"<html>", 1),
        (b"\xff\x00\xfe", 1),
        (b"[" * 100_000, 1),
        (b'[{"a": ' + b"9" * 10_000 + b"}]", 1),
        (b'[{"event": "open", "timestamp": NaN}, {"event": "\\ud800", "timestamp": 1700000000}]', 2),
    ],
    ids=["nothing", "no members", "object", "null", "html", "bytes", "brackets", "digits", "not text"],
)
async def test_whatever_is_signed_is_kept_since_sendgrid_would_only_repeat_it(
    api: Caller, body: bytes, received: int
) -> None:
    answer = await post(api, body)
    assert (answer.status_code, answer.json()["received"]) == (202, received)
    assert len(await kept(api)) == received


async def test_a_body_may_have_ten_megabytes_here_and_no_more(api: Caller) -> None:
    almost = b"[" + b" " * (MAX_BODY_BYTES - 2) + b"]"
    assert (await post(api, almost)).status_code == 202
    too_large = assert_problem(await post(api, almost + b" "), 413)
    assert str(MAX_BODY_BYTES) in too_large["detail"]


async def test_flows_that_listen_are_told_once_and_others_are_not(api: Caller) -> None:
    nurturing = await api.enroll("nurturing")
    onboarding = await api.enroll("onboarding")
    message = await sent(api, onboarding)
    click = webhook_event("click", message.id, now())
    await told(api, click, click, webhook_event("open", message.id, now()), webhook_event("delivered", None, now()))
    await told(api, click)
    assert (await signals(api, nurturing), await signals(api, onboarding)) == (1, 0)
    assert {(event.name, event.delivered_at is None) for event in await api.events()} == {
        ("clicked", False),
        ("opened", False),
    }
    await told(api, webhook_event("bounce", message.id, now()))
    assert (await signals(api, nurturing), await signals(api, onboarding)) == (2, 1)


async def test_a_scanner_that_follows_every_link_wakes_nobody_and_changes_no_state(api: Caller) -> None:
    nurturing = await api.enroll("nurturing")
    message = await sent(api, nurturing)
    ago = now() - timedelta(hours=1)
    await told(
        api,
        webhook_event("click", message.id, ago + timedelta(seconds=2)),
        webhook_event("delivered", message.id, ago),
        *(webhook_event("click", message.id, ago + timedelta(minutes=9), url=f"/{link}") for link in range(5)),
        webhook_event("click", message.id, ago + timedelta(minutes=30), useragent="Mimecast URL Protect"),
        webhook_event("open", message.id, ago + timedelta(minutes=30), sg_machine_open=True),
    )
    assert await signals(api, nurturing) == 0
    assert await api.events() == []
    assert await status_of(api, message) == "delivered"
    marked = sorted(row.automated for row in await kept(api) if row.automated)
    assert marked == ["agent", *["many_links"] * 5, "provider", "too_fast"]


async def test_what_is_told_while_temporal_is_down_is_taken_at_once_and_delivered_by_the_sweep(
    api_without_temporal: Caller, temporal: WorkflowEnvironment
) -> None:
    api = api_without_temporal
    nurturing = await api.enroll("nurturing")
    message = await sent(api, nurturing, MessageStatus.UNCONFIRMED)
    await told(api, webhook_event("click", message.id, now()))
    assert await status_of(api, message) == "clicked"
    assert [event.delivered_at for event in await api.events()] == [None]
    flows = {name: flow.about for name, flow in api.services.flows.items()}
    dispatcher = Dispatcher(api.services.database, temporal.client, flows)
    assert (await Sweep(dispatcher).run(grace=timedelta(seconds=-1), closed_since=now()))["events_delivered"] == 1


async def test_the_double_tells_events_that_settle_what_it_accepted(api: Caller) -> None:
    message = await sent(api, await api.enroll(), MessageStatus.UNCONFIRMED)
    with FakeSendGrid() as sendgrid:
        accepted = {
            "personalizations": [{"to": [{"email": "ada@example.com"}]}],
            "from": {"email": "hello@example.com"},
            "subject": "Welcome",
            "content": [{"type": "text/plain", "value": "Welcome"}],
            "custom_args": {"cauce_message_id": message.id},
            "categories": ["onboarding"],
        }
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {API_KEY}"}) as http:
            await http.post(f"{sendgrid.url}/v3/mail/send", json=accepted)
        (body,) = sendgrid.webhook_bodies("processed", "delivered")
        assert sendgrid.webhook_bodies("processed", "delivered", events_per_body=1) != [body]
    assert (await post(api, body)).json()["new"] == 2
    assert (await post(api, body)).json()["new"] == 0
    assert await status_of(api, message) == "delivered"


async def test_nothing_of_an_event_is_logged(api: Caller, caplog: pytest.LogCaptureFixture) -> None:
    message = await sent(api, await api.enroll())
    with caplog.at_level(logging.INFO):
        await told(api, webhook_event("click", message.id, now()), {"junk": "ada@example.com"})
    logged = str([vars(record) for record in caplog.records])
    assert "ada@example.com" not in logged
    assert "198.51.100.7" not in logged
    assert "Firefox" not in logged
