"""The time zone of somebody of whom perhaps only the country is known."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Literal, NamedTuple

MOST_POPULOUS = {
    "AQ": "Antarctica/McMurdo",
    "AR": "America/Argentina/Buenos_Aires",
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "CD": "Africa/Lubumbashi",  # the capital lies in the other one, but six in ten people in this
    "CL": "America/Santiago",
    "CN": "Asia/Shanghai",
    "CY": "Asia/Nicosia",
    "DE": "Europe/Berlin",
    "EC": "America/Guayaquil",
    "ES": "Europe/Madrid",
    "FM": "Pacific/Chuuk",
    "GL": "America/Nuuk",
    "ID": "Asia/Jakarta",
    "KI": "Pacific/Tarawa",
    "KZ": "Asia/Almaty",
    "MH": "Pacific/Majuro",
    "MN": "Asia/Ulaanbaatar",
    "MX": "America/Mexico_City",
    "MY": "Asia/Kuala_Lumpur",
    "NZ": "Pacific/Auckland",
    "PF": "Pacific/Tahiti",
    "PG": "Pacific/Port_Moresby",
    "PS": "Asia/Hebron",
    "PT": "Europe/Lisbon",
    "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv",
    "UM": "Pacific/Wake",
    "US": "America/New_York",
    "UZ": "Asia/Tashkent",
}
"""Of the countries that have several zones, the one where most people live."""


class KnownZone(NamedTuple):
    """An IANA time zone, and whose it is."""

    zone: str
    source: Literal["contact", "country", "sender"]


def known_zone(time_zone: str | None, country: str | None, sender_zone: str) -> KnownZone:
    """The contact's own time zone; if it is not known, their country's; if that has none, the sender's."""
    if time_zone:
        return KnownZone(time_zone, "contact")
    if country and (zone := zone_of_country(country)):
        return KnownZone(zone, "country")
    return KnownZone(sender_zone, "sender")


def zone_of_country(country: str) -> str | None:
    """The IANA zone of a country (ISO 3166-1 alpha-2, upper case); of several, the one where most people live.

    None for a code that has no zone in the IANA database's `zone.tab`.
    """
    zones = zones_by_country().get(country, ())
    return zones[0] if len(zones) == 1 else MOST_POPULOUS.get(country)


@cache
def zones_by_country() -> dict[str, tuple[str, ...]]:
    """All zones of each country. Read once, from the package `tzdata`: not every machine has the table."""
    zones: dict[str, tuple[str, ...]] = {}
    table = (resources.files("tzdata.zoneinfo") / "zone.tab").read_text(encoding="utf-8")
    for line in table.splitlines():
        if not line.startswith("#"):
            country, _, zone, *_ = line.split("\t")
            zones[country] = (*zones.get(country, ()), zone)
    return zones
