from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.durations import read_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("4h", timedelta(hours=4)),
        (" 1d ", timedelta(days=1)),
        ("730d", timedelta(days=730)),
        ("0h", timedelta(0)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, duration: timedelta) -> None:
    assert read_duration(text) == duration


@pytest.mark.parametrize(
    "text", ["", "4", "h", "4 h", "-4h", "1.5h", "4w", "4H", "1d12h", "٣h", "731d", "9" * 30 + "d"]
)
def test_any_other_text_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration: expected a whole number of d, h, m or s") as refused:
        read_duration(text)
    assert repr(text) in str(refused.value)


@given(st.text(st.sampled_from("0123456789dhms -"), max_size=12))
def test_what_is_read_is_no_longer_than_two_years(text: str) -> None:
    try:
        duration = read_duration(text)
    except ValueError:
        return
    assert timedelta(0) <= duration <= timedelta(days=730)
