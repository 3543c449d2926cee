"""Erasures and exports through the API: who is being erased is told apart, and everything that is held is shown."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from temporalio.testing import WorkflowEnvironment

from domain.erasure import Asked, Certificate, FlowsLeft, ProviderAsked
from domain.messages import MessageStatus
from integrations.outbox.mailer import OutboxMailer
from runtime.dispatch import Dispatcher
from runtime.sweep import Sweep
from store.erasures import finish, note
from store.ledger_tables import MessageRow
from store.tables import EventRow, now
from tests.api.caller import ADA, Caller, assert_problem, fields_at_fault
from tests.api.databases import on_both_databases
from tests.integrations.mailer_contract import a_message

NOBODY = "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"


async def erase(api: Caller, contact_id: str, **headers: str) -> dict[str, Any]:
    answer = await api.http.delete(f"/v1/contacts/{contact_id}", headers=headers)
    assert answer.status_code == 202, answer.text
    erasure: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"/v1/erasures/{erasure['id']}"
    return erasure


@on_both_databases
async def test_an_erasure_is_taken_and_asked_again_it_is_the_same(api: Caller) -> None:
    contact = await api.contact()
    erasure = await erase(api, contact["id"])
    assert (erasure["status"], erasure["requested_by"], erasure["finished_at"]) == ("under_way", "api", None)
    assert await erase(api, contact["id"]) == erasure
    assert (await api.get(f"/v1/erasures/{erasure['id']}")).json() == erasure
    assert contact["id"] not in json.dumps(erasure)
    assert (await api.get(f"/v1/contacts/{contact['id']}")).json()["suppressed"] == ["erased"]
    run = api.services.client.get_workflow_handle(f"erase-contact:{erasure['id']}")
    assert contact["id"] not in (await run.fetch_history()).to_json()


async def test_who_asked_for_it_may_be_said(api: Caller) -> None:
    rosa = (await api.post("/v1/people", {"email": "rosa@example.com", "name": "Rosa"})).json()
    erasure = await erase(api, (await api.contact())["id"], **{"Cauce-Person": "rosa@example.com"})
    assert erasure["requested_by"] == rosa["id"]


async def test_nobody_is_erased_or_exported_by_an_unknown_id(api: Caller) -> None:
    assert_problem(await api.http.delete(f"/v1/contacts/{NOBODY}"), 404, "not-found")
    assert_problem(await api.http.delete("/v1/contacts/ada@example.com"), 422)
    assert_problem(await api.get(f"/v1/contacts/{NOBODY}/export"), 404, "not-found")
    assert_problem(await api.get(f"/v1/erasures/{NOBODY}"), 404, "not-found")


async def test_nothing_is_added_to_who_is_being_erased(api: Caller) -> None:
    contact = await api.contact()
    erasure = await erase(api, contact["id"])
    for answer in (
        await api.post("/v1/contacts", {**ADA, "company": "Engines"}),
        await api.post("/v1/flows/onboarding/enrollments", {"contact_id": contact["id"]}),
        await api.post("/v1/flows/onboarding/enrollments", {"contact": ADA}),
        await api.post("/v1/events", {"email": ADA["email"], "name": "visited"}),
        await api.post("/v1/events", {"contact_id": contact["id"], "name": "visited"}),
    ):
        assert_problem(answer, 409, "being-erased")
        assert answer.headers["Location"] == f"/v1/erasures/{erasure['id']}"
    assert await api.enrollments() == []
    assert [event.name for event in await api.events()] == ["erased"]


async def test_nobody_reports_an_erasure_as_an_event(api: Caller) -> None:
    await api.contact()
    problem = assert_problem(await api.post("/v1/events", {"email": ADA["email"], "name": "erased"}), 422)
    assert fields_at_fault(problem) == ["body.name"]
    assert "DELETE /v1/contacts/{contact_id}" in problem["detail"]


async def test_an_erasure_is_taken_while_temporal_is_away_and_begun_later(
    api_without_temporal: Caller, temporal: WorkflowEnvironment
) -> None:
    erasure = await erase(api_without_temporal, (await api_without_temporal.contact())["id"])
    dispatcher = Dispatcher(api_without_temporal.services.database, temporal.client, {})
    finished = await Sweep(dispatcher).run(grace=timedelta(seconds=-1), closed_since=now())
    assert finished["erasures_begun"] == 1
    await temporal.client.get_workflow_handle(f"erase-contact:{erasure['id']}").describe()


async def test_erasures_are_listed_with_what_is_left_to_people(api: Caller) -> None:
    first = await erase(api, (await api.contact())["id"])
    second = await erase(api, (await api.contact(email="bo@example.com"))["id"])
    asked = [
        ProviderAsked(provider="smtp", outcome=Asked.BY_HAND, detail="no way", at=now()),
        ProviderAsked(provider="sendgrid", outcome=Asked.ACCEPTED, detail="job 1", at=now()),
    ]
    async with api.services.database.write() as session:
        left = FlowsLeft(enrollments=2, terminated=1, at=now())
        await note(session, first["id"], Certificate(flows=left, providers=asked))
        await finish(session, first["id"])
    page = (await api.get("/v1/erasures", limit=1)).json()
    assert [item["id"] for item in page["items"]] == [second["id"]]
    (item,) = (await api.get("/v1/erasures", limit=1, cursor=page["next_cursor"])).json()["items"]
    assert (item["id"], item["status"], item["by_hand"]) == (first["id"], "finished", ["smtp"])
    assert (item["flows"]["enrollments"], item["flows"]["terminated"], item["rows"]) == (2, 1, None)
    for status, expected in (("finished", first), ("under_way", second)):
        items = (await api.get("/v1/erasures", status=status)).json()["items"]
        assert [item["id"] for item in items] == [expected["id"]]


@on_both_databases
async def test_an_export_is_a_file_with_everything_that_is_held(api: Caller) -> None:
    contact = await api.contact(attributes={"plan": "team"})
    enrollment = await api.enroll(contact_id=contact["id"])
    visits = [
        EventRow(id=f"event-{number:04}", contact_id=contact["id"], name="visited", occurred_at=now())
        for number in range(1200)
    ]
    email = a_message()
    OutboxMailer(api.services.settings.outbox_folder).send(email)
    sent = MessageRow(
        flow=enrollment["flow"],
        id=email.id,
        enrollment_id=enrollment["id"],
        contact_id=contact["id"],
        step="welcome",
        status=MessageStatus.SENT,
        provider="outbox",
    )
    async with api.services.database.write() as session:
        session.add_all([*visits, sent])
    await api.contact(email="bo@example.com")

    answer = await api.get(f"/v1/contacts/{contact['id']}/export")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"] == f'attachment; filename="contact-{contact["id"]}.json"'
    export = answer.json()
    (profile,) = export["contacts"]
    assert (profile["email"], profile["attributes"]) == ("ada@example.com", {"plan": "team"})
    assert [row["id"] for row in export["events"]] == [visit.id for visit in visits]
    assert [(row["topic"], row["state"]) for row in export["consents"]] == [("product-news", "granted")]
    assert [row["id"] for row in export["enrollments"]] == [enrollment["id"]]
    ((kept,),) = [export["outbox"]]
    assert kept["message_id"] == email.id
    assert f"X-Cauce-Message: {email.id}" in kept["eml"]
    assert export["suppressions"] == export["erasures"] == []
    assert "bo@example.com" not in answer.text


async def test_an_export_tells_of_suppressions_and_of_an_erasure_under_way(api: Caller) -> None:
    contact = await api.contact()
    erasure = await erase(api, contact["id"])
    export = (await api.get(f"/v1/contacts/{contact['id']}/export")).json()
    assert [row["reason"] for row in export["suppressions"]] == ["erased"]
    assert [row["id"] for row in export["erasures"]] == [erasure["id"]]
