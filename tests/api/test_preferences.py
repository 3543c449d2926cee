"""The page that an email's opt-out link leads to, and the one-click request of RFC 8058."""

from __future__ import annotations

import asyncio

import pytest

from api.console.texts import TEXTS
from domain.messages import MessageClass, MessageStatus
from domain.suppressions import SuppressionReason
from emails.html_tree import parse_html
from store.erasure_requests import request_erasure
from store.ledger_tables import MessageRow
from store.suppressions import suppress
from store.tables import EnrollmentRow, new_id, now
from tests.api.caller import Caller
from tests.api.databases import on_both_databases
from tests.api.page import assert_page
from tests.api.subscriber import Subscriber, boxes, form_fields

BO = {"email": "bo@example.com", "first_name": "Bo", "locale": "es-CL"}
EN, ES = TEXTS["en"], TEXTS["es"]


@pytest.fixture
async def bo(api: Caller) -> Subscriber:
    """Reads Spanish, gets the newsletter and offers, refused product news, and is in a flow."""
    consent = {"newsletter": True, "offers": True, "product-news": False}
    made = await api.enroll(contact={**BO, "consent": consent})
    return Subscriber(api, made["contact_id"])


async def written_about(api: Caller, contact_id: str, topic: str) -> None:
    """A message of a relationship's topic went out to the contact."""
    enrollment = EnrollmentRow(flow="onboarding", contact_id=contact_id, status="ended")
    async with api.services.database.write() as session:
        session.add(enrollment)
        await session.flush()
        session.add(
            MessageRow(
                flow=enrollment.flow,
                enrollment_id=enrollment.id,
                contact_id=contact_id,
                step="welcome",
                status=MessageStatus.SENT,
                message_class=MessageClass.RELATIONSHIP,
                topic=topic,
                handed_over_at=now(),
            )
        )


async def test_the_page_shows_the_senders_topics_as_they_are_in_the_contacts_language(bo: Subscriber) -> None:
    answer = await bo.api.http.get(bo.preferences, headers={"Accept-Language": "en"})
    html = assert_page(answer)
    assert answer.headers["content-language"] == "es"
    assert '<html lang="es">' in html
    assert "Tus correos de Cauce" in html
    assert boxes(html) == {"newsletter": True, "product-news": False, "offers": True}
    for text in ("Boletín", "Guías e ideas prácticas", "Novedades del producto", "Guardar", "Darme de baja de todo"):
        assert text in html
    assert "bo@example.com" not in html, "links are forwarded"
    assert "/outbox" not in html


async def test_the_page_is_one_that_assistive_technology_understands(bo: Subscriber) -> None:
    page = parse_html(await bo.page())
    (form,) = page.all("form")
    (fieldset,) = form.all("fieldset")
    assert fieldset.all("legend")[0].words == "Quiero recibir"
    ids = [element.attributes["id"] for element in page.all("input", "div") if "id" in element.attributes]
    assert len(set(ids)) == len(ids)
    labels = {label.attributes["for"]: label.words for label in page.all("label")}
    for box in fieldset.all("input"):
        assert labels[box.attributes["id"]]
        assert box.attributes["aria-describedby"] in ids
    assert [button.words for button in form.all("button")] == ["Guardar", "Darme de baja de todo"]
    saved = (await bo.save("newsletter")).text
    assert "<title>Guardamos tu elección. Preferencias de correo" in saved
    assert '<div class="notice" role="status">' in saved


async def test_a_topic_that_is_off_shows_what_one_agrees_to_by_ticking_it(bo: Subscriber) -> None:
    html = await bo.page()
    topics = bo.api.services.topics
    assert topics["product-news"].es.agreement in html
    assert topics["newsletter"].es.agreement not in html


async def test_opening_the_page_changes_nothing(bo: Subscriber) -> None:
    record = await bo.record()
    for method in ("GET", "HEAD", "GET"):
        answer = await bo.api.http.request(method, bo.preferences)
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
    assert (await bo.record(), await bo.api.events()) == (record, [])
    assert (await bo.view())["suppressed"] == []


async def test_a_topic_that_is_not_public_is_shown_to_who_has_a_word_on_it_or_got_it(bo: Subscriber) -> None:
    await written_about(bo.api, bo.id, "onboarding")
    await bo.api.post("/v1/contacts", {**BO, "consent": {"sales": False}})
    assert boxes(await bo.page()) == {
        "newsletter": True,
        "product-news": False,
        "offers": True,
        "onboarding": True,
        "sales": False,
    }


@on_both_databases
async def test_leaving_one_topic_withdraws_it_and_nothing_else(bo: Subscriber) -> None:
    for _ in range(2):
        html = assert_page(await bo.save("offers"))
        assert boxes(html) == {"newsletter": False, "product-news": False, "offers": True}
        assert "Recibes: Ofertas." in html
    view = await bo.view()
    assert view["consent"] == {"newsletter": "withdrawn", "offers": "granted", "product-news": "withdrawn"}
    assert view["suppressed"] == []
    latest = (await bo.record())[0]
    assert (latest["topic"], latest["source"], latest["recorded_by"]) == ("newsletter", "preferences", "contact")
    assert len(await bo.record()) == 4, "the second time says nothing new"
    assert await bo.api.events() == []


async def test_leaving_a_topic_that_needs_no_consent_withdraws_it_too(bo: Subscriber) -> None:
    await written_about(bo.api, bo.id, "onboarding")
    await bo.save("newsletter", "offers")
    assert (await bo.view())["consent"]["onboarding"] == "withdrawn"
    assert boxes(await bo.page())["onboarding"] is False


async def test_joining_a_topic_is_a_consent_to_the_text_that_was_shown(bo: Subscriber) -> None:
    html = assert_page(await bo.save("newsletter", "offers", "product-news"))
    assert "Recibes: Boletín, Novedades del producto, Ofertas." in html
    latest = (await bo.record())[0]
    topic = bo.api.services.topics["product-news"]
    assert latest == {
        **latest,
        "topic": "product-news",
        "state": "granted",
        "source": "preferences",
        "recorded_by": "contact",
        "wording": topic.wording,
        "purpose": topic.purpose,
    }


async def test_what_is_only_left_ticked_is_no_new_consent(bo: Subscriber) -> None:
    await written_about(bo.api, bo.id, "onboarding")
    before = await bo.record()
    await bo.save("newsletter", "offers", "onboarding")
    assert await bo.record() == before


async def test_nobody_joins_by_a_text_that_is_not_the_present_one(bo: Subscriber) -> None:
    fields = form_fields(await bo.page(), ticked=["newsletter", "offers", "product-news"])
    wording = bo.api.services.topics["product-news"].wording
    outdated = [(name, value.replace(f"product-news:{wording}", "product-news:2001")) for name, value in fields]
    html = assert_page(await bo.post(bo.preferences, [*outdated, ("action", "save")]))
    assert ES["preferences_outdated"] in html
    assert boxes(html)["product-news"] is False
    assert (await bo.view())["consent"]["product-news"] == "withdrawn"


async def test_what_a_page_did_not_offer_is_not_joined_by_it(bo: Subscriber) -> None:
    wording = bo.api.services.topics["sales"].wording
    for topic in (f"sales:{wording}", "gossip:1", "gossip", ":", ""):
        await bo.post(bo.preferences, [*form_fields(await bo.page()), ("topic", topic), ("action", "save")])
    assert (await bo.view())["consent"] == {"newsletter": "granted", "offers": "granted", "product-news": "withdrawn"}


async def test_a_page_that_was_left_open_changes_only_what_is_changed_on_it(bo: Subscriber) -> None:
    old = await bo.page()
    await bo.save("offers")
    await bo.save("newsletter", "offers", "product-news", page=old)
    assert (await bo.view())["consent"] == {"newsletter": "withdrawn", "offers": "granted", "product-news": "granted"}
    await bo.save("newsletter", page=old)
    assert (await bo.view())["consent"] == {"newsletter": "withdrawn", "offers": "withdrawn", "product-news": "granted"}


@on_both_databases
async def test_leaving_all_suppresses_the_address_and_withdraws_each_topic(bo: Subscriber) -> None:
    html = assert_page(await bo.leave())
    assert ES["preferences_left"] in html
    assert ES["now_left"] in html
    assert boxes(html) == {"newsletter": False, "product-news": False, "offers": False}
    view = await bo.view()
    assert view["suppressed"] == ["unsubscribed"]
    assert set(view["consent"].values()) == {"withdrawn"}
    (event,) = await bo.api.events()
    assert event.name == "unsubscribed"
    assert event.delivered_at is not None
    assert ES["has_left"] in await bo.page()


async def test_who_comes_back_gets_what_they_join_and_nothing_that_they_had_before(bo: Subscriber) -> None:
    await written_about(bo.api, bo.id, "onboarding")
    await bo.api.post("/v1/events", {"email": "bo@example.com", "name": "unsubscribed"})
    assert boxes(await bo.page()) == dict.fromkeys(("newsletter", "product-news", "offers", "onboarding"), False)
    html = assert_page(await bo.save("offers"))
    assert boxes(html) == {"newsletter": False, "product-news": False, "offers": True, "onboarding": False}
    assert "Recibes: Ofertas." in html
    view = await bo.view()
    assert view["suppressed"] == []
    assert view["consent"] == {
        "newsletter": "withdrawn",
        "offers": "granted",
        "product-news": "withdrawn",
        "onboarding": "withdrawn",
    }


async def test_saving_without_a_tick_after_leaving_all_does_not_come_back(bo: Subscriber) -> None:
    await bo.leave()
    await bo.save()
    assert (await bo.view())["suppressed"] == ["unsubscribed"]


async def test_choosing_ends_a_sunset(bo: Subscriber) -> None:
    async with bo.api.services.database.write() as session:
        await suppress(session, "bo@example.com", SuppressionReason.SUNSET, "flow")
    assert ES["is_paused"] in await bo.page()
    await bo.save("newsletter", "offers")
    assert (await bo.view())["suppressed"] == []
    assert ES["is_paused"] not in await bo.page()


@pytest.mark.parametrize("reason", [SuppressionReason.COMPLAINT, SuppressionReason.HARD_BOUNCE])
async def test_an_address_that_nothing_is_sent_to_is_told_so_and_stays_so(
    bo: Subscriber, reason: SuppressionReason
) -> None:
    async with bo.api.services.database.write() as session:
        await suppress(session, "bo@example.com", reason, "event")
    told = ES["is_stopped"].format(email="hello@example.com")
    assert told in await bo.page()
    assert told in (await bo.save("newsletter", "offers", "product-news")).text
    assert (await bo.view())["suppressed"] == [reason]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"List-Unsubscribe=One-Click", "application/x-www-form-urlencoded"),
        (b"", ""),
        (
            b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--',
            "multipart/form-data; boundary=b",
        ),
        (b"\xff\xfe", "text/plain"),
    ],
    ids=["form", "nothing", "multipart", "no text"],
)
async def test_one_click_opts_out_without_key_cookie_or_redirect_and_twice_is_as_once(
    bo: Subscriber, body: bytes, content_type: str
) -> None:
    for _ in range(2):
        answer = await bo.api.http.post(
            bo.preferences, content=body, headers={"Content-Type": content_type, "Origin": "null"}
        )
        assert "Te has dado de baja" in assert_page(answer)
        assert "set-cookie" not in answer.headers
    (event,) = await bo.api.events()
    assert event.name == "unsubscribed"
    assert (await bo.view())["suppressed"] == ["unsubscribed"]
    assert len(await bo.record()) == 5, "newsletter and offers are withdrawn once"


@on_both_databases
async def test_many_clicks_at_once_are_one(bo: Subscriber) -> None:
    answers = await asyncio.gather(*(bo.one_click() for _ in range(6)), *(bo.leave() for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert [event.name for event in await bo.api.events()] == ["unsubscribed"]
    assert len(await bo.record()) == 5


@on_both_databases
async def test_joining_and_leaving_at_once_leave_the_record_whole(bo: Subscriber) -> None:
    page = await bo.page()
    await asyncio.gather(*(bo.save("newsletter", "offers", "product-news", page=page) for _ in range(5)))
    assert len(await bo.record()) == 4
    assert (await bo.view())["consent"]["product-news"] == "granted"


async def test_leaving_again_ends_a_flow_that_the_contact_came_into_since(bo: Subscriber) -> None:
    await bo.one_click()
    async with bo.api.services.database.write() as session:
        session.add(EnrollmentRow(flow="nurturing", contact_id=bo.id))
    for _ in range(2):
        await bo.one_click()
    assert [event.name for event in await bo.api.events()] == ["unsubscribed", "unsubscribed"]


async def test_whoever_was_suppressed_by_hand_leaves_the_flows_that_they_are_in(bo: Subscriber) -> None:
    async with bo.api.services.database.write() as session:
        await suppress(session, "bo@example.com", SuppressionReason.UNSUBSCRIBED, "import")
    await bo.one_click()
    assert [event.name for event in await bo.api.events()] == ["unsubscribed"]


@pytest.mark.parametrize("token", ["nonsense", "%00", "a.b", "x" * 5000, "%F0%9F%92%A9"])
async def test_a_link_that_we_did_not_sign_is_a_page_that_helps(api: Caller, token: str) -> None:
    for answer in (
        await api.http.get(f"/unsubscribe/{token}", headers={"Accept-Language": "es"}),
        await api.http.post(f"/unsubscribe/{token}", headers={"Accept-Language": "es"}),
    ):
        assert ES["bad_link_heading"] in assert_page(answer, 404)


async def test_the_link_of_a_contact_who_is_gone_is_a_page_that_helps(api: Caller) -> None:
    nobody = Subscriber(api, new_id())
    assert EN["bad_link_heading"] in assert_page(await api.get(nobody.preferences), 404)
    assert_page(await nobody.one_click(), 404)


async def test_the_links_of_a_contact_who_is_being_erased_lead_nowhere(bo: Subscriber) -> None:
    async with bo.api.services.database.write() as session:
        await request_erasure(session, bo.id, "api")
    before = await bo.record()
    assert_page(await bo.api.get(bo.preferences), 404)
    assert_page(await bo.one_click(), 404)
    assert_page(await bo.api.get(bo.confirmation), 404)
    assert await bo.record() == before
