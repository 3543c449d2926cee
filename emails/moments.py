"""Times as the reader of a message writes them: filters for its template."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, format_timedelta, get_timezone_name
from jinja2 import pass_context
from jinja2.runtime import Context

from domain.contacts import DEFAULT_LOCALE

READER = "_reader"
"""Where a template's context holds `wording`'s answer. No setting and no field can be called so."""

_UNITS: tuple[tuple[Literal["day", "hour", "minute"], int], ...] = (("day", 86_400), ("hour", 3_600), ("minute", 60))
_EXACT = 10**9  # babel says "1 month" for 30 days unless a unit must come to more than this


def wording(asked: str, written: str) -> Locale:
    """The locale to write times in: the reader's own if the template is in its language, else the template's."""
    own = [asked] if asked.partition("-")[0] == written.partition("-")[0] else []
    return next(_known(*own, written, written.partition("-")[0], DEFAULT_LOCALE))


def _known(*names: str) -> Iterator[Locale]:
    for name in names:
        try:
            yield Locale.parse(name, sep="-")
        except (UnknownLocaleError, ValueError):
            continue


@pass_context
def moment(context: Context, value: datetime | None) -> str:
    """`martes, 24 de noviembre de 2026, 15:00 (hora de verano de Chile)`; the time zone is the value's own."""
    if value is None:
        return ""
    locale = context[READER]
    day, hour = format_date(value, "full", locale), format_time(value, "short", value.tzinfo, locale)
    return f"{day}, {hour} ({get_timezone_name(value, 'long', locale=locale)})"


@pass_context
def duration(context: Context, value: timedelta) -> str:
    """`7 días`, `1 hour`: in the largest unit that it has one of, rounded down, so that it promises no more."""
    seconds = int(value.total_seconds())
    for unit, length in _UNITS:
        if seconds >= length:
            whole = timedelta(seconds=seconds // length * length)
            return format_timedelta(whole, unit, threshold=_EXACT, locale=context[READER])
    return format_timedelta(value, "second", threshold=_EXACT, locale=context[READER])
