"""A provider on a bad day: it accepts, fails, hangs and cuts, by chance."""

from __future__ import annotations

import time
from collections import Counter
from random import Random

from tests.integrations.fake_sendgrid import FakeSendGrid, failure
from tests.integrations.scripted_server import Answer

_WEATHER = {
    "accepts": 82,
    "out of order": 4,
    "too many": 3,
    "cuts before it accepts": 4,
    "cuts after it has accepted": 4,
    "hangs before it accepts": 0.5,
    "hangs after it has accepted": 0.5,
    "is lost by a gateway": 2,
}


class StormySendGrid(FakeSendGrid):
    """The same seed, the same weather, in the order of the requests."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.weather: Counter[str] = Counter()
        self._chance = Random(seed)  # noqa: S311 (a die, no secret)

    def _scripted(self) -> Answer | None:
        (kind,) = self._chance.choices(list(_WEATHER), list(_WEATHER.values()))
        self.weather[kind] += 1
        match kind:
            case "out of order":
                return failure(503)
            case "too many":
                return failure(429, headers={"X-RateLimit-Reset": str(int(time.time()) + 1)})
            case "cuts before it accepts":
                return Answer(status=500, lost="cut")
            case "cuts after it has accepted":
                return Answer(lost="cut")
            case "hangs before it accepts":
                return Answer(status=500, lost="held")
            case "hangs after it has accepted":
                return Answer(lost="held")
            case "is lost by a gateway":
                return failure(504)
        return None
