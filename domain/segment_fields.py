"""Clauses on what a contact's own row says: fields and attributes.

Nothing is "unknown" in the end: `is_not` and `not` hold for a contact of whom nobody knows it.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Generic, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, StrictBool, model_validator
from pydantic_core import CoreSchema
from typing_extensions import TypeAliasType

from domain.contacts import Country, Locale, TimeZone
from domain.limits import Id, Moment
from domain.segment_values import (
    EmailDomain,
    Language,
    Name,
    Number,
    Period,
    Score,
    Some,
    Value,
    ValueT,
    Word,
    operator_in_words,
)


def optional(**options: Any) -> Any:
    """A member that is left out, of what is stored and shown too, unless it is given."""
    return Field(default=None, exclude_if=lambda value: value is None, **options)


class Clause(BaseModel):
    """One question. Of the members in `ONE_OF`, exactly one is given."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True, hide_input_in_errors=True)

    ONE_OF: ClassVar[tuple[str, ...]] = ()

    @property
    def sentence(self) -> str:
        """What is asked, as a statement of the contact: `country is one of CL, AR`."""
        raise NotImplementedError

    @property
    def test(self) -> tuple[str, Any]:
        """The operator that is given, and what it compares with."""
        return next((name, value) for name in self.ONE_OF if (value := self._given(name)) is not None)

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if self.ONE_OF and sum(self._given(name) is not None for name in self.ONE_OF) != 1:
            raise ValueError(f"give exactly one of {', '.join(self.ONE_OF)}")
        return self

    def _given(self, name: str) -> Any:
        return getattr(self, "is_" if name == "is" else name)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        described = handler(schema)
        if cls.ONE_OF:
            handler.resolve_ref_schema(described)["oneOf"] = [
                {"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in cls.ONE_OF
            ]
        return described


class _Among(Clause, Generic[ValueT]):
    """A field that holds one of many codes."""

    ONE_OF: ClassVar[tuple[str, ...]] = ("is", "is_not", "is_one_of")

    kind: Literal["contact"]
    field: str
    is_: ValueT | None = optional(alias="is")
    is_not: ValueT | None = optional(description="holds too if nobody knows it")
    is_one_of: Some[ValueT] | None = optional()

    @property
    def sentence(self) -> str:
        return f"{self.field.replace('_', ' ')} {operator_in_words(*self.test)}"


class _AmongOrUnknown(_Among[ValueT], Generic[ValueT]):
    ONE_OF: ClassVar[tuple[str, ...]] = (*_Among.ONE_OF, "is_known")

    is_known: StrictBool | None = optional()


class EmailDomainClause(_Among[EmailDomain]):
    """The part of the address behind the @, whole: `example.com` is not `mail.example.com`."""

    field: Literal["email_domain"]


class LanguageClause(_Among[Language]):
    """The first part of the locale: `es` is the language of `es` and `es-CL`."""

    field: Literal["language"]


class LocaleClause(_Among[Locale]):
    field: Literal["locale"]


class CountryClause(_AmongOrUnknown[Country]):
    field: Literal["country"]


class TimeZoneClause(_AmongOrUnknown[TimeZone]):
    field: Literal["time_zone"]


class OwnerClause(_AmongOrUnknown[Id]):
    """The person who owns the lead, by id."""

    field: Literal["owner"]


class TextClause(_AmongOrUnknown[Word]):
    """A field of free text. `contains` and `starts_with` take A to Z for a to z; all else has to be the same."""

    ONE_OF: ClassVar[tuple[str, ...]] = (*_AmongOrUnknown.ONE_OF, "contains", "starts_with")

    field: Literal["region", "company", "lifecycle_stage"]
    contains: Word | None = optional()
    starts_with: Word | None = optional()


class ScoreClause(Clause):
    ONE_OF: ClassVar[tuple[str, ...]] = ("is", "at_least", "at_most")

    kind: Literal["contact"]
    field: Literal["score"]
    is_: Score | None = optional(alias="is")
    at_least: Score | None = optional()
    at_most: Score | None = optional()

    @property
    def sentence(self) -> str:
        return f"score {operator_in_words(*self.test)}"


class CreatedClause(Clause):
    """When the contact became known to us."""

    ONE_OF: ClassVar[tuple[str, ...]] = ("before", "after", "within")

    kind: Literal["contact"]
    field: Literal["created_at"]
    before: Moment | None = optional()
    after: Moment | None = optional()
    within: Period | None = optional(description="so long ago at most")

    @property
    def sentence(self) -> str:
        return f"created at {operator_in_words(*self.test)}".replace("created at is", "was created")


ContactClause = TypeAliasType(
    "ContactClause",
    Annotated[
        EmailDomainClause
        | LanguageClause
        | LocaleClause
        | CountryClause
        | TimeZoneClause
        | OwnerClause
        | TextClause
        | ScoreClause
        | CreatedClause,
        Field(discriminator="field"),
    ],
)
"""A clause on a field of the contact. None is on name or address: a segment is no place for personal data."""


class AttributeClause(Clause):
    """An attribute of the contact, by name. Compared with what is of another type it is not a match, and no error."""

    ONE_OF: ClassVar[tuple[str, ...]] = (
        *("is", "is_not", "is_one_of", "is_known", "contains", "starts_with", "at_least", "at_most"),
    )

    kind: Literal["attribute"]
    name: Name = Field(examples=["plan"])
    is_: Value | None = optional(alias="is")
    is_not: Value | None = optional(description="holds too if there is none of this name")
    is_one_of: Some[Value] | None = optional()
    is_known: StrictBool | None = optional()
    contains: Word | None = optional()
    starts_with: Word | None = optional()
    at_least: Number | None = optional()
    at_most: Number | None = optional()

    @property
    def sentence(self) -> str:
        return f"attribute {self.name} {operator_in_words(*self.test)}"
