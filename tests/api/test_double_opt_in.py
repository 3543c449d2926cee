"""Contacts confirm by a link what the API says that they agreed to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from api.console.texts import TEXTS
from domain.suppressions import SuppressionReason
from integrations.outbox.reader import Outbox
from rehearsal.inbox import Inbox
from runtime.links import Links
from runtime.settings import Settings, SettingsError
from store.suppressions import suppress
from store.tables import EnrollmentRow, new_id
from tests.api.caller import Caller, calling
from tests.api.databases import on_both_databases
from tests.api.flows import FLOWS
from tests.api.page import assert_page
from tests.api.subscriber import SITE, Subscriber, form_fields
from tests.waiting import until

EMAIL = "bo@example.com"
EN, ES = TEXTS["en"], TEXTS["es"]


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    given = {"data_dir": tmp_path / "data", "database_url": database_url, "double_opt_in": True}
    return Settings.model_validate(given)


async def tell(api: Caller, **consent: Any) -> Subscriber:
    answer = await api.post("/v1/contacts", {"email": EMAIL, "locale": "es", "consent": consent})
    assert answer.is_success, answer.text
    return Subscriber(api, answer.json()["id"])


async def confirming(api: Caller) -> list[EnrollmentRow]:
    return [row for row in await api.enrollments() if row.flow == "confirmation"]


@on_both_databases
async def test_what_the_api_says_is_requested_and_the_contact_is_asked_once(api: Caller) -> None:
    bo = await tell(api, newsletter=True, offers=False)
    assert (await bo.view())["consent"] == {"newsletter": "requested", "offers": "withdrawn"}
    (enrollment,) = await confirming(api)
    assert (enrollment.contact_id, enrollment.origin) == (bo.id, "api")
    assert enrollment.started_at is not None
    for again in (True, {"granted": True, "recorded_at": datetime.now(UTC).isoformat()}):
        await tell(api, newsletter=again)
    await tell(api, offers={"granted": True, "recorded_at": datetime.now(UTC).isoformat()})
    assert len(await confirming(api)) == 1
    assert (await bo.view())["consent"] == {"newsletter": "requested", "offers": "requested"}


async def test_whoever_comes_into_a_flow_is_asked_too(api: Caller) -> None:
    made = await api.enroll(contact={"email": EMAIL, "consent": {"newsletter": True}})
    assert sorted(row.flow for row in await api.enrollments()) == ["confirmation", "onboarding"]
    assert all(row.started_at for row in await api.enrollments())
    assert made["flow"] == "onboarding"


async def test_a_contact_is_asked_while_temporal_is_down(api_without_temporal: Caller) -> None:
    await tell(api_without_temporal, newsletter=True)
    (enrollment,) = await confirming(api_without_temporal)
    assert enrollment.started_at is None, "the sweep starts it"


async def test_whoever_agrees_to_something_else_has_not_confirmed_what_is_taken_back(api: Caller) -> None:
    await tell(api, newsletter=True)
    await tell(api, newsletter=False, offers={"granted": True, "confirmed": True})
    assert await api.events() == []
    (enrollment,) = await confirming(api)
    assert enrollment.cancel_requested_at is not None


@pytest.mark.parametrize("word", [False, {"granted": True, "confirmed": True}])
async def test_nobody_is_asked_what_they_refuse_or_have_confirmed_elsewhere(api: Caller, word: Any) -> None:
    bo = await tell(api, newsletter=word)
    assert (await bo.view())["consent"]["newsletter"] in ("withdrawn", "granted")
    assert await confirming(api) == []


async def test_a_contact_who_has_confirmed_is_not_asked_again(api: Caller) -> None:
    bo = await tell(api, newsletter={"granted": True, "confirmed": True})
    for word in (True, {"granted": True, "recorded_at": datetime.now(UTC).isoformat()}):
        await tell(api, newsletter=word)
    assert (await bo.view())["consent"] == {"newsletter": "granted"}
    assert await confirming(api) == []


async def test_opening_the_page_confirms_nothing(api: Caller) -> None:
    bo = await tell(api, newsletter=True)
    record = await bo.record()
    for method in ("GET", "HEAD", "GET"):
        answer = await api.http.request(method, bo.confirmation, headers={"Accept-Language": "en"})
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
    html = assert_page(answer)
    topics = api.services.topics
    assert topics["newsletter"].es.agreement in html
    assert topics["offers"].es.agreement not in html
    assert ES["confirm_button"] in html
    assert EMAIL not in html
    assert (await bo.record(), await api.events()) == (record, [])


@on_both_databases
async def test_confirming_grants_what_was_shown_and_twice_is_as_once(api: Caller) -> None:
    bo = await tell(api, newsletter=True, offers=True)
    page = (await api.get(bo.confirmation)).text
    html = assert_page(await bo.confirm(page))
    assert ES["confirm_confirmed_heading"] in html
    assert "Recibes: Boletín, Ofertas." in html
    assert bo.preferences in html
    assert ES["confirm_settled_heading"] in assert_page(await bo.confirm(page))
    record = await bo.record()
    topic = api.services.topics["offers"]
    assert len(record) == 4
    assert record[0] == {
        **record[0],
        "topic": "offers",
        "state": "granted",
        "source": "confirmation",
        "recorded_by": "contact",
        "wording": topic.wording,
        "purpose": topic.purpose,
    }
    (event,) = await api.events()
    assert (event.name, event.contact_id) == ("subscription_confirmed", bo.id)
    assert event.delivered_at is not None


@on_both_databases
async def test_many_confirmations_at_once_are_one(api: Caller) -> None:
    bo = await tell(api, newsletter=True)
    page = (await api.get(bo.confirmation)).text
    answers = await asyncio.gather(*(bo.confirm(page) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(await bo.record()) == 2
    assert len(await api.events()) == 1


async def test_what_was_asked_for_after_the_page_was_opened_is_asked_next(api: Caller) -> None:
    bo = await tell(api, newsletter=True)
    page = (await api.get(bo.confirmation)).text
    await tell(api, offers=True)
    html = assert_page(await bo.confirm(page))
    assert ES["confirm_ask_heading"] in html
    assert (await bo.view())["consent"] == {"newsletter": "granted", "offers": "requested"}
    assert await api.events() == [], "the flow goes on: offers wait"
    await bo.confirm(html)
    assert (await bo.view())["consent"] == {"newsletter": "granted", "offers": "granted"}
    assert len(await api.events()) == 1


async def test_nobody_confirms_a_text_that_is_not_the_present_one(api: Caller) -> None:
    bo = await tell(api, newsletter=True)
    fields = form_fields((await api.get(bo.confirmation)).text)
    outdated = [(name, f"{value.partition(':')[0]}:2001") for name, value in fields]
    html = assert_page(await bo.post(bo.confirmation, [*outdated, ("action", "confirm")]))
    assert ES["confirm_ask_heading"] in html
    assert (await bo.view())["consent"] == {"newsletter": "requested"}


async def test_a_page_that_was_left_open_confirms_nothing_that_was_taken_back(api: Caller) -> None:
    bo = await tell(api, newsletter=True, offers=True)
    page = (await api.get(bo.confirmation)).text
    await tell(api, newsletter=False)
    await bo.confirm(page)
    assert (await bo.view())["consent"] == {"newsletter": "withdrawn", "offers": "granted"}


async def test_a_post_without_the_pages_form_confirms_nothing(api: Caller) -> None:
    bo = await tell(api, newsletter=True)
    for body in (b"", b"List-Unsubscribe=One-Click", b"topic=newsletter", b"\xff"):
        assert (await api.http.post(bo.confirmation, content=body)).status_code == 200
    assert (await bo.view())["consent"] == {"newsletter": "requested"}
    assert (await bo.view())["suppressed"] == []


async def test_joining_on_the_preference_page_confirms_too(api: Caller) -> None:
    bo = await tell(api, newsletter=True)
    page = await bo.page()
    assert ES["not_confirmed_yet"] in page
    await bo.save("newsletter", page=page)
    assert (await bo.view())["consent"] == {"newsletter": "granted"}
    assert [event.name for event in await api.events()] == ["subscription_confirmed"]


async def test_when_the_request_is_taken_back_there_is_nothing_to_confirm_and_no_reminder(api: Caller) -> None:
    bo = await tell(api, newsletter=True)
    await tell(api, newsletter=False)
    (enrollment,) = await confirming(api)
    assert enrollment.cancel_requested_at is not None
    assert enrollment.cancel_told_at is not None
    html = assert_page(await api.get(bo.confirmation))
    assert ES["confirm_settled_heading"] in html
    assert await api.events() == []


async def test_leaving_all_leaves_nothing_to_confirm(api: Caller) -> None:
    bo = await tell(api, newsletter=True)
    await bo.one_click()
    assert (await bo.view())["consent"] == {"newsletter": "withdrawn"}
    assert ES["confirm_settled_heading"] in (await bo.confirm()).text
    assert [event.name for event in await api.events()] == ["unsubscribed"]
    await tell(api, newsletter=True)
    assert (await bo.view())["consent"] == {"newsletter": "withdrawn"}, "old data does not ask them again"


async def test_who_had_left_all_comes_back_to_what_they_confirm_alone(api: Caller) -> None:
    bo = await tell(api, newsletter={"granted": True, "confirmed": True})
    async with api.services.database.write() as session:
        await suppress(session, EMAIL, SuppressionReason.UNSUBSCRIBED, "event")
    await tell(api, offers=True)
    page = (await api.get(bo.confirmation)).text
    assert ES["confirm_returning"] in page
    html = assert_page(await bo.confirm(page))
    assert "Recibes: Ofertas." in html
    assert (await bo.view())["suppressed"] == []
    assert (await bo.view())["consent"] == {"newsletter": "withdrawn", "offers": "granted"}


async def test_an_expired_link_says_what_to_do(api: Caller) -> None:
    bo = await tell(api, newsletter=True)
    links = Links(SITE, api.services.settings.secret_keys(), confirmable_for=timedelta(seconds=-1))
    api.app.state.services = replace(api.services, links=links)
    for answer in (await api.get(bo.confirmation), await bo.confirm("")):
        assert EN["confirm_expired_heading"] in assert_page(answer, 410)
    assert (await bo.view())["consent"] == {"newsletter": "requested"}


async def test_a_link_to_another_page_or_of_nobody_confirms_nothing(api: Caller) -> None:
    bo = await tell(api, newsletter=True)
    nobody = Subscriber(api, new_id())
    opt_out = bo.preferences.removeprefix("/unsubscribe/")
    answerer = api.services.links.approval_url(bo.id).rpartition("/")[2]
    for path in (f"/confirm/{opt_out}", f"/confirm/{answerer}", "/confirm/%00", nobody.confirmation):
        assert EN["confirm_bad_heading"] in assert_page(await api.get(path), 404)
        assert_page(await api.http.post(path), 404)
    confirmation = bo.confirmation.removeprefix("/confirm/")
    assert_page(await api.http.post(f"/unsubscribe/{confirmation}"), 404)


async def test_the_api_does_not_start_without_a_flow_to_confirm_by(
    settings: Settings, temporal: WorkflowEnvironment
) -> None:
    with pytest.raises(SettingsError, match="CAUCE_DOUBLE_OPT_IN: needs the flow confirmation"):
        async with calling(settings, temporal.client, FLOWS):
            pass


async def test_from_a_request_by_mail_to_a_consent_and_out_again_while_flows_go_on(
    api_with_worker: Caller, settings: Settings
) -> None:
    """Nobody but the flows wrote to them; what they choose holds at once in the flow that they are in."""
    api = api_with_worker
    bo = await tell(api, newsletter=True)
    outbox = Outbox(settings.outbox_folder)
    await until(lambda: bool(outbox.page(1)))
    (mail,) = Inbox.of(outbox)
    (path,) = [link.removeprefix(SITE) for link in mail.links if "/confirm/" in link]
    await bo.post(path, [*form_fields((await api.get(path)).text), ("action", "confirm")])
    (asked,) = await confirming(api)
    await until(partial(_is_at, api, asked.id, "goal"))

    entered = await api.enroll("nurturing", contact_id=bo.id, settings={"pause": "PT0S"})
    await until(partial(_is_at, api, entered["id"], "click-1"))
    (news,) = [mail for mail in Inbox.of(outbox) if mail.step == "piece-1"]
    headers = dict(news.headers)
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert headers["List-Unsubscribe"] == f"<{SITE}{bo.preferences}>"
    await bo.save()
    await api.post("/v1/events", {"email": EMAIL, "name": "clicked"})
    await until(partial(_is_at, api, entered["id"], "click-2"))
    messages = (await api.get("/v1/messages", enrollment_id=entered["id"])).json()["items"]
    assert [(each["step"], each["status"], each["reason"]) for each in messages] == [
        ("piece-2", "skipped", "contact opted out of newsletter"),
        ("piece-1", "sent", None),
    ]
    await bo.one_click()
    await until(partial(_is_at, api, entered["id"], "unsubscribed"))


async def _is_at(api: Caller, enrollment_id: str, wanted: str) -> bool:
    """At a step, or gone by an exit."""
    enrollment = (await api.get(f"/v1/enrollments/{enrollment_id}")).json()
    found: str | None = enrollment["outcome"]["exit"] if enrollment["outcome"] else enrollment["step"]
    return found == wanted
