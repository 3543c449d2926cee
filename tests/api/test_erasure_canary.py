"""A contact who has been everywhere, with values that nobody else has, leaves no trace; another's flows go on."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pythonjsonlogger.json import JsonFormatter
from temporalio.client import Client
from temporalio.service import RPCError

from activities.outgoing import Outgoing
from emails.templates import Templates
from integrations.outbox.mailer import OutboxMailer
from runtime.logs import CHATTY
from runtime.settings import Settings
from store.tables import EnrollmentRow, now
from tests.api.caller import Caller, calling
from tests.integrations.sendgrid_webhook import webhook_event
from tests.temporal_server import temporal_server
from tests.waiting import until
from worker.erasing import erasing
from worker.process import working

PROMPT_DELETION = ["--dynamic-config-value", 'history.transferProcessorUpdateAckInterval="200ms"']
SOON = timedelta(milliseconds=100)
FOR_DAYS = {"hand_after": "P3D"}
CANARY = {
    "email": "canary-email@example.com",
    "first_name": "Canary-first",
    "last_name": "Canary-last",
    "locale": "es-CL",
    "time_zone": "America/Santiago",
    "country": "CL",
    "region": "Canary-region",
    "company": "Canary-company",
    "attributes": {"canary-attribute": "canary-value", "lifetime_value_cents": 900_000},
    "consent": {
        "product-news": {"granted": True, "source": "canary-source", "wording": "canary-wording"},
        "offers": True,
    },
}
BO = {"email": "bo@example.com", "first_name": "Bo", "consent": {"product-news": True}}
MARTA = {"email": "marta@example.com", "name": "Marta", "roles": ["sales_manager"]}
ROSA = {"email": "rosa@example.com", "name": "Rosa", "roles": ["sales"]}


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What a process would write, each line whole."""
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler, root = Kept(), logging.getLogger()
    handler.setFormatter(JsonFormatter())
    before = {name: logging.getLogger(name).level for name in (*CHATTY, "root")}
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    yield lines
    root.removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
async def api(log: list[str], settings: Settings) -> AsyncIterator[Caller]:
    """Everything at work, on a server that deletes at once instead of within a minute."""
    async with (
        await temporal_server(*PROMPT_DELETION) as temporal,
        calling(settings, temporal.client) as caller,
    ):
        database, flows = caller.services.database, caller.services.flows
        outgoing = Outgoing(OutboxMailer(settings.outbox_folder))
        about = {name: flow.about for name, flow in flows.items()}
        async with (
            working(temporal.client, settings, database, outgoing, Templates.load(), flows),
            erasing(temporal.client, settings, database, about, settling=SOON),
        ):
            yield caller


async def test_the_erased_leave_no_trace_and_the_flows_of_others_go_on(
    api: Caller, settings: Settings, sqlite_url: str, log: list[str]
) -> None:
    marta = (await api.post("/v1/people", MARTA)).json()
    await api.post("/v1/people", ROSA)
    bo = (await api.enroll(contact=BO, settings=FOR_DAYS))["id"]
    contact_id, first = await through_everything(api, marta["id"])
    ids = [contact_id, *await ids_of(api, contact_id)]
    assert len(ids) > 10
    message = (await api.get("/v1/messages", contact_id=contact_id)).json()["items"][0]["id"]
    link = link_to_answer(api, settings)
    places = Places(api, settings, Path(sqlite_url.removeprefix("sqlite:///")), contact_id)
    for name, text in (await places.read()).items():
        assert traces([*ids, "canary"], text), f"{name} is not looked into"
    logged_before = len(log)

    asked = await api.http.delete(f"/v1/contacts/{contact_id}")
    assert asked.status_code == 202, asked.text
    address = asked.headers["Location"]
    await until(lambda: finished(api, address))

    # Providers go on telling of the message, whose id leads nowhere now.
    ids.remove(message)
    late = webhook_event("click", message, now(), email=CANARY["email"], url="https://example.com/canary")
    assert (await api.post("/v1/webhooks/sendgrid", [late])).json()["new"] == 1
    certificate = (await api.get(address)).json()
    found = {name: traces([*ids, "canary"], text) for name, text in (await places.read()).items()}
    assert not any(found.values()), found
    assert traces(["canary"], "\n".join(log)) == []
    assert traces([contact_id, "canary"], "\n".join(log[logged_before:])) == []
    assert traces([*ids, "canary"], json.dumps(certificate)) == []
    assert [row.contact_id for row in await api.enrollments()] == [row.id for row in await api.contacts()]

    assert certificate["flows"]["enrollments"] == 3
    assert certificate["flows"]["terminated"] == 0
    assert certificate["histories"]["runs"] == 4
    assert certificate["rows"]["by_table"]["contacts"] == 1
    assert certificate["rows"]["by_table"]["enrollments"] == 4
    assert [(asked["provider"], asked["outcome"]) for asked in certificate["providers"]] == [("outbox", "erased")]
    assert certificate["by_hand"] == []
    for path in (f"/v1/contacts/{contact_id}", f"/v1/enrollments/{first}", f"/v1/contacts/{contact_id}/export"):
        assert (await api.get(path)).status_code == 404
    assert (await api.http.delete(f"/v1/contacts/{contact_id}")).status_code == 404
    assert (await api.get(link)).status_code == 404

    assert (await api.get(f"/v1/enrollments/{bo}")).json()["status"] == "active"
    assert (await api.post("/v1/events", {"email": BO["email"], "name": "unsubscribed"})).status_code == 202
    await until(lambda: outcome_is(api, bo, "unsubscribed"))


async def through_everything(api: Caller, marta: str) -> tuple[str, str]:
    """Have the canary live through much of what there is; answer their id, and that of their first enrollment."""
    first = await api.enroll(contact=CANARY, settings=FOR_DAYS)
    contact_id = first["contact_id"]
    await until(lambda: sent(api, first["id"], "welcome"))
    await api.post(f"/v1/enrollments/{first['id']}/cancel")
    await until(lambda: outcome_is(api, first["id"], "cancelled"))
    again = await api.post(
        "/v1/flows/onboarding/enrollments",
        {"contact_id": contact_id, "settings": FOR_DAYS},
        Idempotency_Key="canary-key",
    )
    assert again.status_code == 201, again.text
    offer = {"offer_after": "PT0S", "medium_from": 1, "large_from": 2}
    await api.enroll("reactivation", contact_id=contact_id, settings=offer)
    await api.enroll("lead_assignment", contact_id=contact_id)
    event = {"contact_id": contact_id, "name": "opened", "id": "canary-event", "properties": {"canary-name": "canary"}}
    assert (await api.post("/v1/events", event)).status_code == 202
    assert (await api.get("/v1/contacts", email=CANARY["email"])).status_code == 200
    await until(lambda: asks_for_approval(api))
    (approval,) = await pending_approvals(api)
    comment = {"decision": "approve", "comment": "canary-comment"}
    decided = await api.post(f"/v1/approvals/{approval}/decision", comment, Cauce_Person=marta)
    assert decided.status_code == 200, decided.text
    await api.post(f"/v1/contacts/{contact_id}/hold")
    await api.post(f"/v1/contacts/{contact_id}/resume")
    await until(lambda: sent(api, again.json()["id"], "welcome"))
    return contact_id, first["id"]


class Places:
    """Everywhere that something of the contact lies, as text."""

    def __init__(self, api: Caller, settings: Settings, database: Path, contact_id: str) -> None:
        self._client: Client = api.services.client
        self._outbox = api.services.outbox
        self._folder = settings.outbox_folder
        self._database = database
        self._contact_id = contact_id

    async def read(self) -> dict[str, str]:
        files = [each for each in self._database.parent.glob(f"{self._database.name}*") if each.is_file()]
        emails = [self._outbox.read(path.stem) for path in self._folder.iterdir()]
        return {
            "database": "".join(path.read_bytes().decode("latin-1") for path in files),
            "outbox": repr([path.name for path in self._folder.iterdir()]) + repr(emails),
            "workflows": await self._workflows(""),
            "search attributes": await self._workflows(f"CauceContactId = '{self._contact_id}'"),
        }

    async def _workflows(self, query: str) -> str:
        told = []
        async for run in self._client.list_workflows(query):
            handle = self._client.get_workflow_handle(run.id, run_id=run.run_id)
            try:
                described = await handle.describe()
                told += [run.id, str(described.raw_description), (await handle.fetch_history()).to_json()]
            except RPCError:
                told.append(str(run.raw_info))
        return "\n".join(map(str, told))


def traces(marks: list[str], text: str) -> list[str]:
    return [mark for mark in marks if mark.lower() in text.lower()]


async def ids_of(api: Caller, contact_id: str) -> list[str]:
    """Of the contact's enrollments, messages and whatever else has an id, as the export tells them."""
    export = (await api.get(f"/v1/contacts/{contact_id}/export")).json()
    export.pop("suppressions")
    return [row["id"] for rows in export.values() if isinstance(rows, list) for row in rows if "id" in row]


def link_to_answer(api: Caller, settings: Settings) -> str:
    """That Marta got."""
    mails = [mail for path in settings.outbox_folder.iterdir() if (mail := api.services.outbox.read(path.stem))]
    texts = [mail.text for mail in mails if "marta" in mail.to]
    link = re.search(r"http://127\.0\.0\.1:8000(/answer/approval/\S+)", "\n".join(texts))
    assert link is not None
    return link[1]


async def finished(api: Caller, address: str) -> bool:
    view: dict[str, Any] = (await api.get(address)).json()
    return bool(view["status"] == "finished")


async def outcome_is(api: Caller, enrollment_id: str, exit_: str) -> bool:
    async with api.services.database.read() as session:
        return (await session.get_one(EnrollmentRow, enrollment_id)).exit == exit_


async def sent(api: Caller, enrollment_id: str, step: str) -> bool:
    items = (await api.get("/v1/messages", enrollment_id=enrollment_id)).json()["items"]
    return any((item["step"], item["status"]) == (step, "sent") for item in items)


async def asks_for_approval(api: Caller) -> bool:
    return bool(await pending_approvals(api))


async def pending_approvals(api: Caller) -> list[str]:
    return [item["id"] for item in (await api.get("/v1/approvals", status="pending")).json()["items"]]
