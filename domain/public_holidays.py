"""Public holidays of countries and their parts, as the `holidays` library knows them."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

CODE = r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$"
"""A country, or a part of it, by ISO 3166: `CL`, `ES-MD`."""
_ANY_YEAR = 2025


@lru_cache(maxsize=4096)
def public_holidays(code: str, year: int) -> frozenset[date]:
    """The days that are free for everybody there, with those that stand in for one on a weekend.

    Raises: ValueError if none are known for the code.
    """
    # Here, for it takes a quarter of a second that only those pay who have somebody with public holidays.
    import holidays

    country, _, part = code.partition("-")
    try:
        if re.fullmatch(CODE, code):
            found = holidays.country_holidays(country, part or None, year, categories=holidays.PUBLIC)
            return frozenset(found)
    except NotImplementedError:
        pass
    raise ValueError(f"no public holidays are known for {code!r}: expected a country or a part of it, as CL or ES-MD")


def is_known(code: str) -> bool:
    try:
        public_holidays(code, _ANY_YEAR)
    except ValueError:
        return False
    return True
