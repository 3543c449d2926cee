"""Durations as people say them."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
_SHORT = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>[dhms])")
_LONGEST = timedelta(days=730)


def in_words(duration: timedelta) -> str:
    """Say a duration in its two largest units: `3 days`, `1 hour 30 minutes`, `no time`."""
    left = round(duration.total_seconds())
    parts = []
    for unit, seconds in _UNITS:
        count, left = divmod(left, seconds)
        if count:
            parts.append(f"{count} {unit}" if count == 1 else f"{count} {unit}s")
    return " ".join(parts[:2]) or "no time"


def read_duration(text: str, longest: timedelta = _LONGEST) -> timedelta:
    """Read a duration as settings have it: `1d`, `4h`, `30m`, `90s`; from zero to two years, or what else is longest.

    Raises: ValueError, naming the text and what is expected.
    """
    read = _SHORT.fullmatch(text.strip())
    seconds = {unit[0]: seconds for unit, seconds in _UNITS}
    duration = timedelta(seconds=int(read["count"]) * seconds[read["unit"]]) if read else None
    if duration is None or duration > longest:
        form = f"a whole number of d, h, m or s, as 4h, up to {longest.days}d"
        raise ValueError(f"{text.strip()!r} is no duration: expected {form}")
    return duration
