"""What the columns of a file of contacts mean, and what a record of it says by them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, JsonValue, TypeAdapter, ValidationError

from domain.contact_csv import Record
from domain.contacts import ContactProfile, Topic

EMAIL = "email"
IGNORE = "ignore"
_FIELDS = {
    EMAIL: "an address such as ada@example.com",
    "first_name": "up to 200 characters of one line",
    "last_name": "up to 200 characters of one line",
    "locale": "a language, or language and country, such as es or es-CL",
    "time_zone": "a name of the IANA database, such as America/Santiago",
    "country": "two capital letters of ISO 3166-1, such as CL",
    "region": "up to 200 characters of one line",
    "company": "up to 200 characters of one line",
}
"""Fields of a contact that a column may hold, and what is expected of its cells."""
_WORDS = "yes or no (or true, false, sí, 1, 0), or nothing, which says nothing"
# As spreadsheets in English and Spanish write them.
_YES = frozenset({"true", "yes", "1", "verdadero", "sí", "si"})
_NO = frozenset({"false", "no", "0", "falso"})
_ATTRIBUTE = re.compile(r"attributes\.([\w-]{1,64})(:text)?")
_CONSENT = re.compile(r"consent\.(.+)")
_NO_ADDRESS = "no column is email: the first line has to name the columns; say which of them becomes email"
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?")
_TOPIC: TypeAdapter[str] = TypeAdapter(Topic)
TARGETS = f"{', '.join(_FIELDS)}, attributes.<name>, attributes.<name>:text, consent.<topic> or {IGNORE}"
"""What a column may become, in words."""


def _target(value: str) -> str:
    if value in _FIELDS or value == IGNORE or _ATTRIBUTE.fullmatch(value):
        return value
    consent = _CONSENT.fullmatch(value)
    try:
        if consent and _TOPIC.validate_python(consent[1]):
            return value
    except ValidationError:
        pass
    raise ValueError(f"expected {TARGETS}")


Target = Annotated[str, AfterValidator(_target)]
"""What a column becomes: a field of the contact, `attributes.<name>`, `consent.<topic>`, or nothing (`ignore`)."""
_TARGET: TypeAdapter[str] = TypeAdapter(Target)


class HeaderFault(NamedTuple):
    """What is wrong with the first record or, if `mapping` is a number, with that part of what was said of columns."""

    message: str
    mapping: int | None = None


class Fault(NamedTuple):
    """What is wrong in a line, and how to mend it. Nothing that the line says is in it.

    `column` is None if it is the line itself.
    """

    line: int
    column: str | None
    message: str


class ContactLine(NamedTuple):
    """A contact as a line has them. Of `profile` only what the line says is set; `consent` is by topic."""

    line: int
    profile: ContactProfile
    consent: dict[str, bool]


class Column(NamedTuple):
    name: str
    target: str


def columns_of(
    header: Sequence[str], mapping: Mapping[str, str], topics: Collection[str], *, ignore_others: bool
) -> tuple[list[Column], list[HeaderFault]]:
    """What each column of a file becomes: what `mapping` says of its name, else the field that it is named like.

    Names are compared without regard to case, and to blanks around them; `First name` is named like `first_name`. Any
    other column is a fault, or ignored.
    """
    names = [name.strip() or f"number {number}" for number, name in enumerate(header, start=1)]
    asked = {name.strip().casefold(): target for name, target in mapping.items()}
    found = [(name, asked.get(name.casefold()) or _named_like(name)) for name in names]
    columns = [Column(name, target or IGNORE) for name, target in found]
    present = {name.casefold() for name in names}
    faults = [
        HeaderFault("the file has no column of this name: mind its spelling", number)
        for number, name in enumerate(asked)
        if name not in present
    ]
    if all(target != EMAIL for _, target in found):
        # Nor are names repeated, which may be a contact's: the first line need not be one of names.
        return columns, [HeaderFault(_NO_ADDRESS), *faults]
    if not ignore_others:
        faults += [HeaderFault(_unmapped(*each)) for each in enumerate(names, start=1) if found[each[0] - 1][1] is None]
    return columns, [*_contradictions(columns, topics), *faults]


def topics_of(columns: Sequence[Column]) -> list[str]:
    """The topics that some of these columns are about."""
    return [found[1] for column in columns if (found := _CONSENT.fullmatch(column.target))]


class ContactReader:
    """Reads records of a file with these columns."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = [column for column in enumerate(columns) if column[1].target != IGNORE]
        self._count = len(columns)
        self._names = {column.target: column.name for column in columns}

    def read(self, record: Record) -> ContactLine | list[Fault]:
        """The contact of a record, or all that is wrong with it. An empty cell says nothing."""
        if record.fault:
            return [Fault(record.line, None, record.fault)]
        if len(record.cells) != self._count:
            what = f"has {len(record.cells)} cells, and the first line {self._count}"
            return [Fault(record.line, None, f"{what}: put a cell that holds the delimiter in quotation marks")]
        given: dict[str, object] = {}
        attributes: dict[str, JsonValue] = {}
        consent: dict[str, bool] = {}
        faults = []
        for index, (name, target) in self._columns:
            text = record.cells[index].strip()
            if not text:
                continue
            if target in _FIELDS:
                given[target] = text
            elif attribute := _ATTRIBUTE.fullmatch(target):
                attributes[attribute[1]] = text if attribute[2] else _typed(text)
            elif (word := _word(text)) is not None:
                consent[target.removeprefix("consent.")] = word
            else:
                faults.append(Fault(record.line, name, f"is not valid: expected {_WORDS}"))
        if attributes:
            given["attributes"] = attributes
        try:
            profile = ContactProfile.model_validate(given)
        except ValidationError as error:
            return [*self._faults(record.line, error), *faults]
        return faults or ContactLine(record.line, profile, consent)

    def _faults(self, line: int, error: ValidationError) -> Iterator[Fault]:
        for each in error.errors(include_url=False, include_input=False):
            field = str(each["loc"][0])
            if field in _FIELDS:
                what = "is empty" if each["type"] == "missing" else "is not valid"
                yield Fault(line, self._names[field], f"{what}: expected {_FIELDS[field]}")
            else:
                yield Fault(line, None, f"attributes: {each['msg'].removeprefix('Value error, ')}")


def _named_like(name: str) -> str | None:
    """The target that a column of this name has by itself."""
    try:
        return _TARGET.validate_python(name)
    except ValidationError:
        field = re.sub(r"[\s-]+", "_", name.casefold())
        return field if field in _FIELDS else None


def _unmapped(number: int, name: str) -> str:
    return f"column {number} (“{name}”) is not known: say what it becomes, {TARGETS}"


def _contradictions(columns: Sequence[Column], topics: Collection[str]) -> Iterator[HeaderFault]:
    targets = [column.target.removesuffix(":text") for column in columns]
    for target in dict.fromkeys(targets):
        if target != IGNORE and targets.count(target) > 1:
            yield HeaderFault(f"{targets.count(target)} columns become {target}: leave one of them")
        topic = target.removeprefix("consent.")
        if topic != target and topic not in topics:
            yield HeaderFault(f"{target} is no topic: there are {', '.join(topics)}")


def _typed(text: str) -> JsonValue:
    """A number or a truth value if it is written just as JSON writes it; else text: +56…, 007 and 12,50 are."""
    if text in ("true", "false"):
        return text == "true"
    number = _NUMBER.fullmatch(text)
    if number is None:
        return text
    return float(text) if number[2] else int(text)


def _word(text: str) -> bool | None:
    word = text.casefold()
    return True if word in _YES else False if word in _NO else None
