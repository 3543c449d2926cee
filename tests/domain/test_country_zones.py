from __future__ import annotations

import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.country_zones import MOST_POPULOUS, KnownZone, known_zone, zone_of_country, zones_by_country


def test_exactly_the_countries_with_several_zones_are_in_the_table() -> None:
    assert {country for country, zones in zones_by_country().items() if len(zones) > 1} == MOST_POPULOUS.keys()


@pytest.mark.parametrize("country", sorted(MOST_POPULOUS))
def test_the_table_names_one_of_the_country_s_own_zones(country: str) -> None:
    assert zone_of_country(country) == MOST_POPULOUS[country]
    assert MOST_POPULOUS[country] in zones_by_country()[country]


def test_each_country_has_a_zone_that_is_known_here() -> None:
    assert len(zones_by_country()) > 240
    assert {zone_of_country(country) for country in zones_by_country()} <= zoneinfo.available_timezones()


@pytest.mark.parametrize(
    ("country", "zone"),
    [
        ("CL", "America/Santiago"),
        ("ES", "Europe/Madrid"),
        ("FR", "Europe/Paris"),
        ("JP", "Asia/Tokyo"),
        ("BV", None),
        ("XX", None),
        ("cl", None),
        ("", None),
    ],
)
def test_the_zone_of_a_country(country: str, zone: str | None) -> None:
    assert zone_of_country(country) == zone


@pytest.mark.parametrize(
    ("time_zone", "country", "expected"),
    [
        ("Pacific/Easter", "CL", KnownZone("Pacific/Easter", "contact")),
        (None, "CL", KnownZone("America/Santiago", "country")),
        (None, "XX", KnownZone("Europe/Madrid", "sender")),
        (None, None, KnownZone("Europe/Madrid", "sender")),
    ],
)
def test_a_contact_s_own_zone_goes_before_their_country_s_and_the_sender_s(
    time_zone: str | None, country: str | None, expected: KnownZone
) -> None:
    assert known_zone(time_zone, country, "Europe/Madrid") == expected


@given(st.text(max_size=3))
def test_any_text_may_be_asked_for(country: str) -> None:
    assert (zone_of_country(country) is None) == (country not in zones_by_country())
