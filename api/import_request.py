"""What a request says of the file of contacts that is its body."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from email.message import Message
from typing import Annotated, Literal

from fastapi import Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints, TypeAdapter

from api.contact_request import ConsentGiven
from api.problems import ProblemError
from domain.consent import Word
from domain.import_columns import TARGETS, Target
from domain.limits import Text
from emails.topics import SubscriptionTopic

MEDIA_TYPE = "text/csv"
_TARGET: TypeAdapter[str] = TypeAdapter(Target)
_MAPPING = re.compile(r"(.+?):((?:attributes\.[^:]*:text)|[^:]*)")


def _split(value: str) -> tuple[str, str]:
    found = _MAPPING.fullmatch(value)
    if not found:
        raise ValueError(f"expected a column's name, a colon, and what it becomes: {TARGETS}")
    return found[1].strip(), found[2]


def _mapping(value: str) -> str:
    _TARGET.validate_python(_split(value)[1])
    return value


def _each_once(values: list[str]) -> list[str]:
    names = [_split(value)[0].casefold() for value in values]
    if len(set(names)) < len(names):
        raise ValueError("a column is there twice: leave one of the two")
    return values


class ImportRequest(BaseModel):
    """The query of an import: what the file's columns become, and how its contacts agreed to what it says."""

    model_config = ConfigDict(extra="forbid")

    column: Annotated[
        list[Annotated[str, StringConstraints(max_length=300), AfterValidator(_mapping)]],
        Field(max_length=200),
        AfterValidator(_each_once),
    ] = Field(
        default_factory=list,
        description="again and again: a column's name in the first line, a colon, and what it becomes: "
        f"{TARGETS}. Columns that are named like one of these need none",
        examples=[["E-mail:email", "Plan:attributes.plan"]],
    )
    unmapped: Literal["refuse", "ignore"] = Field(
        default="refuse", description="what to do with a file that has columns of which nothing says what they become"
    )
    dry_run: bool = Field(default=False, description="report what would become of each line, and change no contact")
    name: Text = Field(default="", description="what people call the file; nothing personal", examples=["fair 2026"])
    consent_source: Annotated[Text, StringConstraints(min_length=1)] = Field(
        default="import", description="where the contacts said what the consent columns hold", examples=["fair 2026"]
    )
    consent_wording: Text | None = Field(
        default=None,
        description="version of the text that they agreed to; left out: the present one; empty: not known",
    )
    consent_confirmed: bool = Field(
        default=False, description="they have confirmed it by an email of yours: under double opt-in none is sent"
    )

    def mapping(self) -> dict[str, str]:
        """What columns become, by their names."""
        return dict(map(_split, self.column))

    def options(self) -> dict[str, JsonValue]:
        """All that decides what becomes of the file: tells one request from another under the same idempotency key."""
        return self.model_dump(mode="json", exclude={"name", "dry_run"})

    def words(
        self, topics: Mapping[str, SubscriptionTopic], of: Collection[str], *, double_opt_in: bool
    ) -> dict[tuple[str, bool], Word]:
        """What yes and no in the columns of some topics is kept as, by topic and answer."""
        return dict(self._words(topics, of, double_opt_in))

    def _words(
        self, topics: Mapping[str, SubscriptionTopic], of: Collection[str], double_opt_in: bool
    ) -> Iterator[tuple[tuple[str, bool], Word]]:
        given: dict[str, object] = {"source": self.consent_source, "confirmed": self.consent_confirmed}
        if self.consent_wording is not None:
            given["wording"] = self.consent_wording or None
        for granted in (True, False):
            consent = ConsentGiven.model_validate({**given, "granted": granted})
            for topic in of:
                yield (topic, granted), consent.word(topic, topics[topic], double_opt_in=double_opt_in)


async def require_csv(request: Request) -> None:
    """Raises: ProblemError 415 if the body does not say to be CSV in UTF-8."""
    declared = Message()
    declared["content-type"] = request.headers.get("content-type", "")
    if declared.get_content_type() != MEDIA_TYPE or declared.get_content_charset("utf-8") not in ("utf-8", "us-ascii"):
        raise ProblemError(
            415, "unsupported-media-type", "The body is not CSV in UTF-8", f"send it with Content-Type: {MEDIA_TYPE}"
        )
