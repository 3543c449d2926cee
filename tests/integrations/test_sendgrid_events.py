"""SendGrid's webhook events in our words, whatever is in a body."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.deliveries import DeliveryEvent, DeliveryKind, Sign
from integrations.sendgrid.events import read_events
from tests.integrations.sendgrid_webhook import webhook_event

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 24, 12, tzinfo=UTC)
MESSAGE = "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"


def read(*members: Any) -> list[DeliveryEvent]:
    return read_events(json.dumps(members).encode(), LATER)


def one(name: str, **more: Any) -> DeliveryEvent:
    (event,) = read(webhook_event(name, MESSAGE, NOON, **more))
    return event


@pytest.mark.parametrize(
    ("name", "more", "kind", "leaves_by"),
    [
        ("processed", {}, DeliveryKind.PROCESSED, None),
        ("deferred", {"response": "400 try again later", "attempt": "5"}, DeliveryKind.DEFERRED, None),
        ("delivered", {"response": "250 OK"}, DeliveryKind.DELIVERED, None),
        ("open", {}, DeliveryKind.OPENED, None),
        ("click", {}, DeliveryKind.CLICKED, None),
        ("bounce", {"type": "bounce"}, DeliveryKind.BOUNCED, "bounced"),
        ("bounce", {}, DeliveryKind.BOUNCED, "bounced"),
        ("bounce", {"type": "blocked"}, DeliveryKind.BLOCKED, None),
        ("dropped", {"reason": "Spam Content"}, DeliveryKind.DROPPED, None),
        ("dropped", {"reason": "Bounced Address"}, DeliveryKind.DROPPED, "bounced"),
        ("dropped", {"reason": "Invalid"}, DeliveryKind.DROPPED, "bounced"),
        ("dropped", {"reason": "Spam Reporting Address"}, DeliveryKind.DROPPED, "complained"),
        ("dropped", {"reason": "Unsubscribed Address"}, DeliveryKind.DROPPED, "unsubscribed"),
        ("dropped", {"reason": ["Bounced Address"]}, DeliveryKind.DROPPED, None),
        ("spamreport", {}, DeliveryKind.COMPLAINED, "complained"),
        ("unsubscribe", {}, DeliveryKind.UNSUBSCRIBED, "unsubscribed"),
        ("group_unsubscribe", {"asm_group_id": 10}, DeliveryKind.UNSUBSCRIBED, "unsubscribed"),
        ("group_resubscribe", {"asm_group_id": 10}, DeliveryKind.RESUBSCRIBED, None),
        ("account_status_change", {"type": "compliance_suspend"}, DeliveryKind.UNKNOWN, None),
        ("", {}, DeliveryKind.UNKNOWN, None),
    ],
)
def test_each_type_has_its_word(name: str, more: dict[str, Any], kind: DeliveryKind, leaves_by: str | None) -> None:
    event = one(name, sg_event_id="e-1", **more)
    assert (event.kind, event.leaves_by) == (kind, leaves_by)
    assert (event.id, event.provider, event.message_id) == ("sendgrid:e-1", "sendgrid", MESSAGE)
    assert (event.occurred_at, event.address) == (NOON, "ada@example.com")
    assert event.provider_message_id == "14c5d75ce93"
    assert isinstance(event.raw, dict)
    assert event.raw["event"] == name


@pytest.mark.parametrize(
    ("name", "more", "reason"),
    [
        ("bounce", {"bounce_classification": "Invalid Address", "status": "5.1.1"}, "Invalid Address, 5.1.1"),
        (
            "bounce",
            {"type": "blocked", "bounce_classification": "Content", "status": "5.7.1"},
            "refused by the receiving server, Content, 5.7.1",
        ),
        ("bounce", {"reason": "550 5.1.1 <ada@example.com> is no user here"}, None),
        ("bounce", {"bounce_classification": "ada@example.com", "status": "550 ada"}, None),
        ("dropped", {"reason": "Bounced Address"}, "Bounced Address"),
        ("dropped", {"reason": "550 ada@example.com"}, None),
        ("delivered", {"reason": "Bounced Address"}, None),
    ],
)
def test_the_reason_is_told_without_what_a_server_says_of_the_address(
    name: str, more: dict[str, Any], reason: str | None
) -> None:
    assert one(name, **more).reason == reason


@pytest.mark.parametrize(
    ("name", "more", "sign"),
    [
        ("open", {}, None),
        ("open", {"sg_machine_open": False}, None),
        ("open", {"sg_machine_open": True}, Sign.PROVIDER),
        ("open", {"sg_machine_open": True, "useragent": "Mozilla/5.0"}, Sign.PROVIDER),
        ("open", {"useragent": "Mozilla/5.0"}, Sign.AGENT),
        ("click", {"useragent": "Barracuda Sentinel (EE)"}, Sign.AGENT),
        ("click", {"useragent": 5}, None),
        ("delivered", {"useragent": "Barracuda Sentinel (EE)"}, None),
    ],
)
def test_what_an_event_tells_of_machines_by_itself(name: str, more: dict[str, Any], sign: Sign | None) -> None:
    assert one(name, **more).sign is sign


def test_a_click_says_where_it_leads_and_nothing_else_does() -> None:
    assert one("click", url="https://example.com/a").url == "https://example.com/a"
    assert len(one("click", url="https://example.com/" + "a" * 9_000).url or "") == 2000
    assert one("click", url=["https://example.com/a"]).url is None
    assert one("open", url="https://example.com/a").url is None


@pytest.mark.parametrize(
    "junk",
    [
        None,
        42,
        "text",
        [],
        [{"event": "open"}],
        {},
        {"event": "open"},
        {"event": "open", "timestamp": None},
        {"event": "open", "timestamp": "1513299569"},
        {"event": "open", "timestamp": True},
        {"event": "open", "timestamp": -1},
        {"event": "open", "timestamp": 1e300},
        {"event": "open", "timestamp": 10**30},
        {"event": 5, "timestamp": 1513299569},
        {"timestamp": 1513299569},
    ],
)
def test_what_is_no_event_is_junk_known_by_its_content(junk: Any) -> None:
    first, good, again = read(junk, webhook_event("open", MESSAGE, NOON), junk)
    assert first == again
    assert (first.kind, first.occurred_at, first.message_id) == (DeliveryKind.JUNK, LATER, None)
    assert first.id.startswith("sendgrid:sha256-")
    assert good.kind is DeliveryKind.OPENED


def test_junk_does_not_take_the_id_of_an_event() -> None:
    junk, event = read({"event": "open", "sg_event_id": "e-1"}, webhook_event("open", MESSAGE, NOON, sg_event_id="e-1"))
    assert junk.id != event.id == "sendgrid:e-1"


@pytest.mark.parametrize("event_id", [None, 5, "", "a b", "x" * 101, "é", "a\0"])
def test_an_event_without_a_usable_id_is_known_by_its_content(event_id: Any) -> None:
    event = webhook_event("open", MESSAGE, NOON, sg_event_id=event_id)
    first, again, other = read(event, event, {**event, "ip": "198.51.100.8"})
    assert first.id == again.id != other.id
    assert first.kind is DeliveryKind.OPENED


@pytest.mark.parametrize("message_id", [None, 5, "", "welcome", "0193f0c2", {"id": MESSAGE}])
def test_an_event_without_our_id_names_no_message(message_id: Any) -> None:
    assert one("open", cauce_message_id=message_id).message_id is None


def test_our_id_is_read_in_any_spelling() -> None:
    assert one("open", cauce_message_id=MESSAGE.upper()).message_id == MESSAGE


DEEP = b"[" * 3_000 + b"]" * 3_000


@pytest.mark.parametrize(
    "broken",
    [
        b'{"event": "open", "a": ' + DEEP + b"}",
        b'{"event": "open", "timestamp": 1513299569',
        b'{"event": "open" "timestamp": 1}',
        b"{'event': 'open'}",
        b'{"event": "op\nen"}',
        b"nonsense",
    ],
    ids=["deep", "cut", "comma", "quotes", "line break", "word"],
)
def test_a_member_that_is_no_json_spoils_no_other(broken: bytes) -> None:
    before = json.dumps(webhook_event("open", MESSAGE, NOON, sg_event_id="e-1", url='a,"[{')).encode()
    after = json.dumps(webhook_event("click", MESSAGE, NOON, sg_event_id="e-2")).encode()
    events = read_events(b"[" + before + b", " + after + b"," + broken + b"]", LATER)
    assert [event.id for event in events[:2]] == ["sendgrid:e-1", "sendgrid:e-2"]
    assert [event.kind for event in events[2:]] == [DeliveryKind.JUNK]
    if broken != b'{"event": "open", "timestamp": 1513299569':
        events = read_events(b"[" + broken + b"," + before + b"]", LATER)
        assert [event.kind for event in events] == [DeliveryKind.JUNK, DeliveryKind.OPENED]


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        (b"", []),
        (b"[]", []),
        (b"[", []),
        (b"null", ["junk"]),
        (b"<html>", ["junk"]),
        (b"\xff\xfe\x00", ["junk"]),
        (b'{"event": "open", "timestamp": 1513299569}', ["opened"]),
        (b'\xef\xbb\xbf[{"event": "open", "timestamp": 1513299569}]\r\n', ["opened"]),
        (b'[{"event": "open", "timestamp": 1513299569}] [1', ["opened", "junk"]),
    ],
)
def test_a_body_that_is_no_array_is_read_as_far_as_it_goes(body: bytes, kinds: list[str]) -> None:
    assert [event.kind for event in read_events(body, LATER)] == kinds


def test_what_no_database_could_hold_is_kept_in_another_way() -> None:
    body = (
        rb'[{"event": "open", "timestamp": 1513299569, "a": NaN, "b": 1e999, "c": "\u0000\ud800",'
        rb' "d\u0000": 123456789012345678901234567890, "e": [[[[[[[[[1]]]]]]]]]}]'
    )
    (event,) = read_events(body, LATER)
    assert event.kind is DeliveryKind.OPENED
    assert event.raw == {
        "event": "open",
        "timestamp": 1513299569,
        "a": "NaN",
        "b": "1e999",
        "c": "\ufffd\ufffd",
        "d\ufffd": "123456789012345678901234567890",
        "e": [[[[[[["…"]]]]]]],
    }


def test_a_very_long_event_counts_and_is_kept_in_part() -> None:
    event = one("click", sg_event_id="e-1", url="https://example.com/" + "a" * 50_000)
    assert (event.id, event.kind) == ("sendgrid:e-1", DeliveryKind.CLICKED)
    assert isinstance(event.raw, str)
    assert len(event.raw) == 20_000


def test_what_is_kept_of_others_messages_names_nobody() -> None:
    event = one("bounce", reason="550 <ada@example.com> is no user here", args={"who": ["mailto:ada@example.com"]})
    assert "ada@example.com" in json.dumps(event.raw)
    told = json.dumps(event.raw_of_nobody)
    assert "ada" not in told
    assert "is no user here" in told
    click = one("click")
    assert isinstance(click.raw_of_nobody, dict)
    assert not {"email", "ip", "useragent", "url"} & click.raw_of_nobody.keys()
    (broken,) = read_events(b'[{"email": "ada@example.com"', LATER)
    assert "ada" not in str(broken.raw_of_nobody)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
ALMOST_EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "event": st.sampled_from(("open", "click", "bounce", "dropped", "spamreport", "new")) | JSON,
        "timestamp": st.integers(1_500_000_000, 1_900_000_000) | st.floats() | JSON,
        **dict.fromkeys(
            (
                *("sg_event_id", "sg_message_id", "cauce_message_id", "email", "url", "useragent", "type", "reason"),
                *("status", "bounce_classification", "sg_machine_open"),
            ),
            JSON,
        ),
    },
)
BODIES = st.binary(max_size=200) | (JSON | st.lists(ALMOST_EVENTS, max_size=4)).map(
    lambda body: json.dumps(body).encode()
)


@settings(max_examples=50)
@given(BODIES)
def test_whatever_a_body_holds_is_read_and_can_be_stored(body: bytes) -> None:
    events = read_events(body, LATER)
    for event in events:
        told = [event.id, event.raw, event.raw_of_nobody, event.url, event.address]
        kept = json.dumps(told, allow_nan=False, ensure_ascii=False)
        assert kept.encode("utf-8", "strict")
        assert r"\u0000" not in kept.replace(r"\\", "")
    assert read_events(body, LATER) == events


WHOLE = json.dumps([webhook_event("click", MESSAGE, NOON, args={"a": [1, {"b": ']}\\"'}]}) for _ in range(3)]).encode()


@given(st.integers(0, len(WHOLE) - 1))
def test_a_body_cut_anywhere_is_read_as_far_as_it_goes(length: int) -> None:
    events, whole = read_events(WHOLE[:length], LATER), read_events(WHOLE, LATER)
    assert events[:-1] == whole[: len(events[:-1])]
    assert all(event in whole or event.kind is DeliveryKind.JUNK for event in events[-1:])
