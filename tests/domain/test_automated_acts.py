from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.automated_acts import automated, known_agent
from domain.deliveries import DeliveryKind, Sign, Told

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


def told(event_id: str, kind: DeliveryKind, seconds: float, url: str | None = None) -> Told:
    return Told(event_id, kind, NOON + timedelta(seconds=seconds), url, None)


def click(event_id: str, seconds: float, url: str | None = "https://example.com/guide") -> Told:
    return told(event_id, DeliveryKind.CLICKED, seconds, url)


DELIVERED = told("delivered", DeliveryKind.DELIVERED, 0)


def signs(*events: Told) -> dict[str, Sign]:
    return automated(events, {})


@pytest.mark.parametrize(("seconds", "sign"), [(0, Sign.TOO_FAST), (5, Sign.TOO_FAST), (5.01, None), (86_400, None)])
def test_a_click_up_to_five_seconds_after_the_delivery_is_a_machines(seconds: float, sign: Sign | None) -> None:
    assert signs(DELIVERED, click("c", seconds)).get("c") is sign


@pytest.mark.parametrize(("seconds", "sign"), [(0, Sign.TOO_FAST), (2, Sign.TOO_FAST), (2.01, None)])
def test_an_open_up_to_two_seconds_after_the_delivery_is_a_machines(seconds: float, sign: Sign | None) -> None:
    assert signs(DELIVERED, told("o", DeliveryKind.OPENED, seconds)).get("o") is sign


@pytest.mark.parametrize(("seconds", "sign"), [(-60, Sign.TOO_FAST), (-60.01, None)])
def test_a_scanner_may_click_a_little_before_the_delivery_is_told(seconds: float, sign: Sign | None) -> None:
    assert signs(DELIVERED, click("c", seconds)).get("c") is sign


def test_a_click_between_two_deliveries_is_a_persons() -> None:
    assert signs(DELIVERED, click("c", 600), told("again", DeliveryKind.DELIVERED, 3600)) == {}


def test_without_a_delivery_nothing_is_too_fast() -> None:
    assert signs(click("c", 0), told("p", DeliveryKind.PROCESSED, 0)) == {}


def test_only_opens_and_clicks_are_too_fast() -> None:
    others = [told(kind, kind, 1) for kind in DeliveryKind if kind not in (DeliveryKind.OPENED, DeliveryKind.CLICKED)]
    assert signs(DELIVERED, *others) == {}


@pytest.mark.parametrize(("last", "sign"), [(5, Sign.MANY_LINKS), (5.01, None)])
def test_three_links_within_five_seconds_are_a_machines_clicks(last: float, sign: Sign | None) -> None:
    found = signs(click("a", 0, "/a"), click("b", 2, "/b"), click("c", last, "/c"))
    assert found == ({} if sign is None else dict.fromkeys("abc", sign))


def test_two_links_or_one_link_often_are_a_persons_clicks() -> None:
    assert signs(click("a", 0, "/a"), click("b", 0, "/b")) == {}
    assert signs(*(click(str(number), 0, "/a") for number in range(9))) == {}
    assert signs(*(click(str(number), 0, None) for number in range(9))) == {}


def test_every_click_among_a_machines_is_marked_and_none_besides() -> None:
    machines = [click("a", 100, "/a"), click("a-again", 101, "/a"), click("b", 101, "/b"), click("c", 105, "/c")]
    persons = [click("before", 94, "/a"), click("after", 111, "/b")]
    assert signs(*machines, *persons).keys() == {"a", "a-again", "b", "c"}


def test_what_an_event_tells_by_itself_goes_before_what_others_tell() -> None:
    events = [DELIVERED, click("c", 1)]
    assert automated(events, {"c": Sign.AGENT}) == {"c": Sign.AGENT}
    assert automated(events, {"c": Sign.MANY_LINKS}) == {"c": Sign.TOO_FAST}, "told by others, so it is judged anew"


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0",
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
        "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
        "Barracuda Sentinel (EE)",
        "Mozilla/5.0 (compatible; Proofpoint URL Defense)",
        "Mimecast-URL-Scanner",
        "Mozilla/5.0 (Windows NT 6.1) AppleWebKit/534+ (KHTML, like Gecko) BingPreview/1.0b",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "WhatsApp/2.23.20.0",
        "python-requests/2.32.3",
        "curl/8.5.0",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/126.0.0.0 Safari/537.36",
    ],
)
def test_scanners_proxies_and_programs_are_known_by_their_agents(agent: str) -> None:
    assert known_agent(agent)


@pytest.mark.parametrize(
    "agent",
    [
        "",
        FIREFOX,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
        "Mozilla/5.0 (Linux; Android 9; CUBOT_NOTE_S Build/PPR1) AppleWebKit/537.36 Chrome/126.0.0.0 Mobile Safari",
        "Mozilla/5.0 (Linux; Android 9; CUBOT) AppleWebKit/537.36 Chrome/126.0.0.0 Mobile Safari/537.36",
        "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Thunderbird/128.0 Reset/1",
    ],
)
def test_people_are_not_taken_for_machines(agent: str) -> None:
    assert not known_agent(agent)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from((DeliveryKind.DELIVERED, DeliveryKind.OPENED, DeliveryKind.CLICKED)),
        st.integers(-70, 90),
        st.sampled_from(("/a", "/b", "/c", "/d", None)),
    ),
    max_size=15,
).map(lambda drawn: [told(str(number), *event) for number, event in enumerate(drawn)])


@given(EVENTS, st.data())
def test_neither_order_nor_repetition_matters_and_more_events_only_add_marks(
    events: Sequence[Told], data: st.DataObject
) -> None:
    marked = automated(events, {})
    assert automated(data.draw(st.permutations(events)), {}) == marked
    assert automated([*events, *events], {}) == marked
    some = events[: data.draw(st.integers(0, len(events)))]
    assert automated(some, {}).keys() <= marked.keys()


@given(EVENTS)
def test_many_links_are_found_as_by_looking_at_every_span(events: Sequence[Told]) -> None:
    clicks = [event for event in events if event.kind is DeliveryKind.CLICKED]
    expected = set()
    for first in clicks:
        span = [each for each in clicks if timedelta(0) <= each.occurred_at - first.occurred_at <= timedelta(seconds=5)]
        if len({each.url for each in span} - {None}) >= 3:
            expected |= {each.id for each in span}
    assert automated(clicks, {}).keys() == expected
