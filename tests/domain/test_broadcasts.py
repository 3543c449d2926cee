from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.broadcasts import (
    BroadcastOrder,
    BroadcastSettings,
    SubjectTest,
    Variant,
    VariantCount,
    parts_of,
    variant_at,
    winner_of,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NINE = datetime(2026, 12, 1, 9)  # noqa: DTZ001 (each contact's own)
SHARES = st.floats(0.01, 0.5)


def a_test(variants: int = 2, share: float = 0.1) -> SubjectTest:
    names = [Variant(name=f"v{number}", subject={"en": "Hi"}) for number in range(variants)]
    return SubjectTest(variants=tuple(names), share=share)


@given(st.integers(0, 10_000), SHARES, st.floats(0, 0.5), st.integers(2, 10))
def test_an_audience_is_divided_into_test_rest_and_holdout(size: int, share: float, holdout: float, count: int) -> None:
    settings = BroadcastSettings(test=a_test(count, share), holdout=holdout)
    tested, held_out = parts_of(settings, size)
    assert 0 <= tested <= held_out <= size
    assert size - held_out <= holdout * size
    dealt = Counter(variant_at(settings, position, tested, "winner") for position in range(held_out))
    assert dealt.pop("winner", 0) == held_out - tested
    assert sum(dealt.values()) == tested
    if tested:
        assert max(dealt.values()) - min(dealt.values()) <= 1
    if held_out >= count:
        assert len(dealt) == count


def test_without_a_test_there_is_one_subject() -> None:
    settings = BroadcastSettings()
    assert parts_of(settings, 100) == (0, 100)
    assert variant_at(settings, 7, 0, None) is None


@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(st.integers(0, 50), st.integers(0, 50))))
def test_the_winner_has_the_highest_rate_of_clicks_and_of_equals_the_first(found: dict[str, tuple[int, int]]) -> None:
    counts = {name: VariantCount(sent, min(clicked, sent)) for name, (sent, clicked) in found.items()}
    winner = winner_of("abcd", counts)

    def rate(name: str) -> float:
        count = counts.get(name, VariantCount(0, 0))
        return count.clicked / count.sent if count.sent else 0

    assert rate(winner) == max(map(rate, "abcd"))
    assert all(rate(name) < rate(winner) for name in "abcd"[: "abcd".index(winner)])


def test_nobody_clicked_so_the_first_subject_wins() -> None:
    assert winner_of(["b", "a"], {}) == "b"
    assert winner_of(["b", "a"], {"a": VariantCount(10, 0)}) == "b"


def test_it_begins_at_once_or_at_its_time_but_never_before_it_was_asked_for() -> None:
    tomorrow = NOW + timedelta(days=1)
    assert BroadcastSettings().begins_at(NOW) == NOW
    assert BroadcastSettings(at=tomorrow).begins_at(NOW) == tomorrow
    assert BroadcastSettings(at=NOW - timedelta(days=1)).begins_at(NOW) == NOW


@given(st.sampled_from(["Pacific/Kiritimati", "Asia/Tokyo", "Europe/Madrid", "America/Santiago", "Pacific/Niue"]))
def test_in_local_time_each_zone_has_its_moment_and_none_is_before_it_begins(zone: str) -> None:
    settings = BroadcastSettings(at_local=NINE)
    due = settings.due_at(zone)
    assert due is not None
    assert due.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == NINE
    assert settings.begins_at(NOW) <= due


def test_a_time_that_the_clocks_skip_is_the_first_one_after() -> None:
    due = BroadcastSettings(at_local=datetime.fromisoformat("2027-03-28T02:30:00")).due_at("Europe/Madrid")
    assert due == datetime(2027, 3, 28, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "change",
    [
        {"at": "2026-12-01T09:00:00Z", "at_local": "2026-12-01T09:00:00"},
        {"at_local": "2026-12-01T09:00:00Z"},
        {"at_local": "1999-12-01T09:00:00"},
        {"holdout": 0.6},
        {"holdout": -0.1},
        {"message": "../people/task"},
        {"name": ""},
        {"give_up_after": 3},
        {"goal_event": "Bought it"},
        {"test": {"share": 0.1, "variants": [{"name": "a", "subject": {"en": "x"}}]}},
        {"test": {"share": 0, "variants": [{"name": name, "subject": {"en": "x"}} for name in "ab"]}},
        {"test": {"share": 0.1, "variants": [{"name": name, "subject": {"en": " "}} for name in "ab"]}},
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    order = {"name": "News", "message": "news", "source": {"contact_ids": ["0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"]}}
    BroadcastOrder.model_validate(order)
    with pytest.raises(ValidationError):
        BroadcastOrder.model_validate({**order, **change})


def test_an_order_tells_its_settings_apart() -> None:
    source = {"contact_ids": ["0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"]}
    order = BroadcastOrder.model_validate(
        {"name": "N", "message": "m", "source": source, "holdout": 0.2, "at_local": NINE}
    )
    assert order.settings == BroadcastSettings(holdout=0.2, at_local=NINE)
    assert BroadcastSettings.model_validate(order.settings.model_dump(mode="json")) == order.settings
