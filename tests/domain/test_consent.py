from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.consent import CONTACT, Bearing, ConsentState, Word, bearing

GRANTED, WITHDRAWN, REQUESTED = ConsentState.GRANTED, ConsentState.WITHDRAWN, ConsentState.REQUESTED
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def word(state: ConsentState, at: datetime | None = None, by: str = "api") -> Word:
    return Word("offers", state, "test", by, given_at=at)


def known_after(words: Iterable[Word]) -> list[Word]:
    """What is known after these were told in turn, in the order in which they were given; one a minute of those without
    a date."""
    known: list[Word] = []
    for minutes, each in enumerate(words):
        if bearing(each, known) is not Bearing.NOTHING:
            latest = known[-1].given_at if known else None
            told_at = max(NOON + timedelta(minutes=minutes), (latest or NOON) + timedelta(seconds=1))
            known.append(each._replace(given_at=each.given_at or told_at))
            known.sort(key=lambda given: given.given_at or NOON)
    return known


STATES = st.sampled_from([GRANTED, WITHDRAWN, REQUESTED])
UNDATED = st.builds(word, STATES)
DATES = st.integers(-1000, 1000).map(lambda hours: NOON + timedelta(hours=hours))
DATED = st.builds(word, STATES, DATES)


@pytest.mark.parametrize(
    ("latest", "told", "found"),
    [
        (word(GRANTED, NOON), word(GRANTED), Bearing.NOTHING),
        (word(GRANTED, NOON), word(WITHDRAWN), Bearing.COUNTS),
        (word(WITHDRAWN, NOON), word(GRANTED), Bearing.COUNTS),
        (word(WITHDRAWN, NOON, CONTACT), word(GRANTED), Bearing.NOTHING),
        (word(WITHDRAWN, NOON, CONTACT), word(REQUESTED), Bearing.NOTHING),
        (word(WITHDRAWN, NOON, CONTACT), word(GRANTED, by=CONTACT), Bearing.COUNTS),
        (word(WITHDRAWN, NOON, CONTACT), word(GRANTED, NOON + timedelta(days=1)), Bearing.COUNTS),
        (word(WITHDRAWN, NOON, CONTACT), word(GRANTED, NOON - timedelta(days=1)), Bearing.HISTORY),
        (word(GRANTED, NOON, CONTACT), word(WITHDRAWN), Bearing.COUNTS),
        (word(GRANTED, NOON), word(GRANTED, NOON), Bearing.NOTHING),
        (word(GRANTED, NOON), word(GRANTED, NOON + timedelta(days=1)), Bearing.COUNTS),
        (word(GRANTED, NOON), word(REQUESTED), Bearing.NOTHING),
        (word(GRANTED, NOON), word(REQUESTED, NOON + timedelta(days=1)), Bearing.NOTHING),
        (word(REQUESTED, NOON), word(REQUESTED), Bearing.NOTHING),
        (word(REQUESTED, NOON), word(REQUESTED, NOON + timedelta(days=1)), Bearing.COUNTS),
        (word(REQUESTED, NOON), word(GRANTED), Bearing.COUNTS),
    ],
)
def test_what_a_word_is_beside_the_latest(latest: Word, told: Word, found: Bearing) -> None:
    assert bearing(told, [latest]) is found


@given(told=st.lists(UNDATED | DATED), first=DATED | UNDATED)
def test_a_first_word_counts_and_any_word_told_twice_is_kept_once(told: list[Word], first: Word) -> None:
    assert bearing(first, []) is Bearing.COUNTS
    known = known_after(told)
    for each in known:
        assert bearing(each, known) is Bearing.NOTHING


@given(told=st.lists(UNDATED | DATED), repeated=st.lists(UNDATED))
def test_old_data_without_dates_never_brings_back_what_the_contact_left_themselves(
    told: list[Word], repeated: list[Word]
) -> None:
    late = NOON + timedelta(days=100)
    known = [*known_after(told), word(WITHDRAWN, late, CONTACT)]
    assert all(bearing(each, known) is Bearing.NOTHING for each in repeated)


@given(told=st.lists(UNDATED | DATED))
def test_whoever_withdraws_now_has_withdrawn(told: list[Word]) -> None:
    for by in ("api", CONTACT):
        known = known_after([*told, word(WITHDRAWN, by=by)])
        assert known[-1].state is WITHDRAWN


@given(
    told=st.lists(st.builds(word, st.sampled_from([GRANTED, WITHDRAWN]), DATES), unique_by=lambda each: each.given_at),
    data=st.data(),
)
def test_dated_words_end_in_the_same_state_whatever_their_order(told: list[Word], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(told))
    assert known_after(shuffled) == known_after(told)


@given(told=st.lists(st.builds(word, st.just(REQUESTED), DATES | st.none())))
def test_a_request_takes_no_consent_away(told: list[Word]) -> None:
    early = NOON - timedelta(days=100)
    assert known_after([word(GRANTED, early), *told])[-1].state is GRANTED
