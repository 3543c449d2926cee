"""What contacts agreed to, as integrators tell it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.contact_request import ContactRequest
from domain.consent import CONTACT, ConsentState, Word
from store.consents import record_words
from tests.api.caller import Caller, assert_problem, fields_at_fault
from tests.api.databases import on_both_databases

EMAIL = "ada@example.com"
LAST_YEAR = "2025-11-23T09:30:00Z"


async def tell(api: Caller, **consent: Any) -> dict[str, Any]:
    """Ada's contact after the API was told of words; topics with `_` for `-`."""
    words = {topic.replace("_", "-"): word for topic, word in consent.items()}
    answer = await api.post("/v1/contacts", {"email": EMAIL, "consent": words})
    assert answer.is_success, answer.text
    contact: dict[str, Any] = answer.json()
    return contact


async def record(api: Caller, contact: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.get(f"/v1/contacts/{contact['id']}/consent")).json()["items"]
    return items


@on_both_databases
async def test_a_bare_word_is_recorded_with_who_told_it_when_and_to_which_text(api: Caller) -> None:
    before = datetime.now(UTC)
    contact = await tell(api, offers=True, newsletter=False)
    assert contact["consent"] == {"offers": "granted", "newsletter": "withdrawn"}
    withdrawn, granted = await record(api, contact)
    offers = api.services.topics["offers"]
    assert granted == {
        "topic": "offers",
        "state": "granted",
        "source": "api",
        "recorded_by": "api",
        "wording": offers.wording,
        "purpose": offers.purpose,
        "recorded_at": granted["recorded_at"],
    }
    assert before <= datetime.fromisoformat(granted["recorded_at"]) <= datetime.now(UTC)
    assert (withdrawn["state"], withdrawn["wording"], withdrawn["purpose"]) == ("withdrawn", None, None)


@on_both_databases
async def test_consent_given_elsewhere_says_where_when_and_to_which_text(api: Caller) -> None:
    word = {"granted": True, "source": "trade fair", "wording": "2019-05", "recorded_at": LAST_YEAR}
    contact = await tell(api, offers=word)
    (told,) = await record(api, contact)
    assert {name: told[name] for name in ("source", "wording", "purpose", "recorded_by")} == {
        "source": "trade fair",
        "wording": "2019-05",
        "purpose": None,
        "recorded_by": "api",
    }
    assert told["recorded_at"] == LAST_YEAR
    await tell(api, offers=word)
    assert len(await record(api, contact)) == 1, "an import that is repeated says nothing new"


async def test_a_text_that_nobody_remembers_is_recorded_as_not_known(api: Caller) -> None:
    contact = await tell(api, offers={"granted": True, "source": "old list", "wording": None})
    assert [(word["wording"], word["purpose"]) for word in await record(api, contact)] == [(None, None)]


async def test_the_record_has_every_word_the_latest_first_by_when_it_was_given(api: Caller) -> None:
    await tell(api, offers=True)
    await tell(api, offers=False)
    contact = await tell(api, offers={"granted": True, "source": "import", "recorded_at": LAST_YEAR})
    assert contact["consent"] == {"offers": "withdrawn"}
    words = [(word["state"], word["source"]) for word in await record(api, contact)]
    assert words == [("withdrawn", "api"), ("granted", "api"), ("granted", "import")]


async def test_who_left_a_topic_themselves_is_brought_back_by_a_later_word_alone(api: Caller) -> None:
    contact = await tell(api, offers=True)
    async with api.services.database.write() as session:
        await record_words(session, contact["id"], [Word("offers", ConsentState.WITHDRAWN, "preferences", CONTACT)])
    for stale in (True, {"granted": True, "source": "crm"}, {"granted": True, "recorded_at": LAST_YEAR}):
        assert (await tell(api, offers=stale))["consent"] == {"offers": "withdrawn"}
    later = {"granted": True, "source": "shop", "recorded_at": datetime.now(UTC).isoformat()}
    assert (await tell(api, offers=later))["consent"] == {"offers": "granted"}


async def test_a_topic_that_is_not_described_is_refused_with_those_that_are(api: Caller) -> None:
    known = "newsletter, product-news, offers, onboarding, sales"
    contact = {"email": EMAIL, "consent": {"gossip": True, "offers": True, "news": {"granted": True}}}
    problem = assert_problem(await api.post("/v1/contacts", contact), 422)
    assert problem["errors"] == [
        {"field": f"body.consent.{topic}", "message": f"is no topic: there are {known}"} for topic in ("gossip", "news")
    ]
    enrolling = await api.post("/v1/flows/onboarding/enrollments", {"contact": contact})
    assert fields_at_fault(assert_problem(enrolling, 422)) == [
        "body.contact.consent.gossip",
        "body.contact.consent.news",
    ]
    assert await api.contacts() == []


@pytest.mark.parametrize(
    ("word", "field"),
    [
        ("yes", ""),
        (1, ""),
        (None, ""),
        ([], ""),
        ({}, ".granted"),
        ({"granted": "true"}, ".granted"),
        ({"granted": True, "sauce": "x"}, ".sauce"),
        ({"granted": True, "source": ""}, ".source"),
        ({"granted": True, "source": "x" * 201}, ".source"),
        ({"granted": True, "recorded_at": "2025-11-23T09:30:00"}, ".recorded_at"),
        ({"granted": True, "recorded_at": "2099-11-23T09:30:00Z"}, ".recorded_at"),
        ({"granted": True, "confirmed": 1}, ".confirmed"),
        ({"granted": True, "wording": "a\u0000"}, ".wording"),
    ],
)
async def test_a_word_that_is_none_is_refused_where_it_is(api: Caller, word: Any, field: str) -> None:
    answer = await api.post("/v1/contacts", {"email": EMAIL, "consent": {"offers": word}})
    assert fields_at_fault(assert_problem(answer, 422)) == [f"body.consent.offers{field}"]


async def test_a_word_of_a_clock_that_is_ahead_is_one_of_now(api: Caller) -> None:
    ahead = (datetime.now(UTC) + timedelta(hours=3)).isoformat()
    contact = await tell(api, offers={"granted": True, "recorded_at": ahead})
    (word,) = await record(api, contact)
    assert datetime.fromisoformat(word["recorded_at"]) <= datetime.now(UTC)


async def test_an_enrollment_repeated_under_its_key_by_a_bare_word_is_the_same(api: Caller) -> None:
    body: dict[str, Any] = {"contact": {"email": EMAIL, "consent": {"offers": True}}}
    first, again = [
        await api.post("/v1/flows/onboarding/enrollments", body, Idempotency_Key="signup-1") for _ in range(2)
    ]
    assert first.json()["id"] == again.json()["id"]
    body["contact"]["consent"] = {"offers": False}
    other = await api.post("/v1/flows/onboarding/enrollments", body, Idempotency_Key="signup-1")
    assert_problem(other, 422, "idempotency-key-reused")


def test_a_bare_word_is_written_down_as_it_came() -> None:
    """Requests of versions that knew no other words are told again by their hash."""
    contact = {"email": EMAIL, "consent": {"offers": True, "newsletter": {"granted": False, "source": "crm"}}}
    assert ContactRequest.model_validate(contact).model_dump(mode="json", exclude_unset=True) == contact


async def test_nobody_is_asked_to_confirm_without_double_opt_in(api: Caller) -> None:
    await tell(api, offers={"granted": True, "confirmed": False})
    assert await api.enrollments() == []


async def test_the_record_of_nobody_is_not_found(api: Caller) -> None:
    assert_problem(await api.get("/v1/contacts/0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11/consent"), 404)
