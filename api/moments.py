"""Times that a request tells of."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator

from domain.limits import Moment
from store.tables import now

CLOCK_TOLERANCE = timedelta(days=1)


def _past(value: datetime) -> datetime:
    if value > now() + CLOCK_TOLERANCE:
        raise ValueError("lies in the future: send it after it happened")
    return value


PastMoment = Annotated[Moment, AfterValidator(_past)]
