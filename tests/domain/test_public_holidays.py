from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.people import PersonProfile
from domain.public_holidays import is_known, public_holidays

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("code", "day"),
    [
        ("CL", date(2026, 9, 18)),
        ("ES-MD", date(2026, 5, 2)),
        ("ES", date(2026, 10, 12)),
        ("US", date(2026, 7, 3)),
    ],
)
def test_public_holidays_are_known_by_country_and_by_its_parts(code: str, day: date) -> None:
    assert is_known(code)
    assert day in public_holidays(code, day.year)


def test_a_part_has_days_of_its_own() -> None:
    assert date(2026, 5, 2) not in public_holidays("ES", 2026)
    assert public_holidays("ES", 2026) < public_holidays("ES-MD", 2026)


@given(st.sampled_from(["CL", "ES-MD", "US", "GB-SCT", "JP", "IN", "SA"]), st.integers(2012, 2035))
def test_the_holidays_of_a_year_are_in_that_year(code: str, year: int) -> None:
    days = public_holidays(code, year)
    assert days
    assert {day.year for day in days} == {year}


@pytest.mark.parametrize("code", ["XX", "CL-ZZZ", "cl", "Chile", "CHL", "JAN", "ES-Barcelona", "CL-", "", "CL\n"])
def test_a_code_that_is_not_known_is_named(code: str) -> None:
    assert not is_known(code)
    with pytest.raises(ValueError, match="no public holidays are known for") as refused:
        public_holidays(code, 2026)
    assert repr(code) in str(refused.value)


@pytest.mark.parametrize("code", ["XX", "CL-ZZZ"])
def test_a_person_has_holidays_that_are_known(code: str) -> None:
    with pytest.raises(ValidationError, match="no public holidays are known for this code"):
        PersonProfile(email="rosa@example.com", name="Rosa", holidays=code)


def test_nobody_waits_for_holidays_that_nobody_has() -> None:
    """The library takes a quarter of a second to import."""
    code = "import sys, domain.people; sys.exit('holidays' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
