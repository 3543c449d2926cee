"""What a flow asks for in a rehearsed life, and what it is answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter

T = TypeVar("T")

CONVERTER = pydantic_data_converter.payload_converter


@dataclass(frozen=True)
class Call:
    """An activity that a flow asks for. `step` is its activity id, `summary` what an operator reads of it."""

    activity: str
    step: str
    summary: str
    at: datetime
    arguments: tuple[Payload, ...]

    def argument(self, kind: type[T]) -> T:
        """The only argument."""
        (value,) = CONVERTER.from_payloads(self.arguments, [kind])
        return value  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Returned:
    """What an activity returns, and the virtual time that it took."""

    result: Any
    took: timedelta = timedelta(0)
