"""A table of people as CSV: read, checked line by line, and nothing else."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from datetime import time
from itertools import pairwise
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from domain.contacts import EmailAddress
from domain.people import PersonProfile
from domain.working_time import Hours, Weekday

_DAYS = {name: day for day in Weekday for name in (day.value, day.value[:3])}
# As a spreadsheet in Spanish writes them, too.
_TRUTHS = {"true": True, "yes": True, "1": True, "verdadero": True, "sí": True, "si": True}
_TRUTHS |= {"false": False, "no": False, "0": False, "falso": False}
_ADDRESS: TypeAdapter[str] = TypeAdapter(EmailAddress)
_PRIVATE = ("email", "name")
_SHOWN_CHARACTERS = 60
_WORK_EXAMPLE = "mon-fri 09:00-13:00 14:00-18:00; sat 10:00-12:00"


class Fault(NamedTuple):
    """What is wrong in a line, counted from 1, and how to mend it. `column` is None if it is the line itself."""

    line: int
    column: str | None
    what: str

    def __str__(self) -> str:
        return f"line {self.line}, {f'column {self.column}' if self.column else 'as a whole'}: {self.what}"


class Entry(NamedTuple):
    """A person as a line has them. Of `person`, only what the file says is set."""

    line: int
    person: PersonProfile


class _Column(NamedTuple):
    """How its cells are read, what an empty one stands for, and what is expected.

    An empty cell without a meaning of its own leaves what the person has, or gives a new person the default.
    """

    read: Callable[[str], object]
    expected: str
    empty: Callable[[], object] | None = None


def read_people(content: bytes) -> tuple[list[Entry], list[Fault]]:
    """The people of a file, in UTF-8 with or without a byte order mark, its cells parted by `,` or by `;`.

    The first line names the columns. Anything wrong is in the faults, all that there are, in the order of lines.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return [], [Fault(line, None, "is not UTF-8: save the file as “CSV UTF-8”")]
    lines = _lines(text)
    entries: list[Entry] = []
    faults: list[Fault] = []
    seen: dict[str, int] = {}
    try:
        number, header = next(lines, (1, []))
        names = [name.strip().lower() for name in header]
        faults += _header_faults(number, names)
        for number, cells in lines if not faults else ():
            entry, wrong = _entry(number, names, cells)
            faults += wrong
            address = _address(names, cells)
            if address and (first := seen.setdefault(address, number)) != number:
                faults.append(Fault(number, "email", f"is in line {first} already: leave one of the two"))
            elif entry:
                entries.append(entry)
    except csv.Error as error:
        faults.append(Fault(error.args[1], None, f"is not CSV ({error.args[0]}): mind quotation marks and their ends"))
    return entries, faults


def working_hours(text: str) -> dict[Weekday, list[Hours]]:
    """Read hours such as `mon-fri 09:00-13:00 14:00-18:00; sat 10:00-12:00`. Days that are not named are free.

    A span of days may run over the end of a week, and `mon,wed` are two days. Raises: ValueError, saying what is wrong.
    """
    hours: dict[Weekday, list[Hours]] = {}
    for part in filter(None, (part.strip() for part in text.lower().split(";"))):
        named, *ranges = part.split()
        if not ranges:
            raise ValueError(f"{part} has no hours")
        spans = sorted((_span(one) for one in ranges), key=lambda span: span.begins)
        if any(later.begins < earlier.ends for earlier, later in pairwise(spans)):
            raise ValueError(f"hours of {part} overlap")
        for day in _days(named):
            if day in hours:
                raise ValueError(f"{day} is there twice")
            hours[day] = spans
    return hours


def _days(named: str) -> Iterator[Weekday]:
    week = list(Weekday)
    for span in named.split(","):
        first, dash, last = span.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise ValueError(f"{span} names no days")
        begins, ends = _DAYS[first].number, _DAYS[last or first].number
        yield from (week[(begins + after) % 7] for after in range((ends - begins) % 7 + 1))


def _span(text: str) -> Hours:
    found = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})", text)
    if not found:
        raise ValueError(f"{text} is not from one time to another")
    from_hour, from_minute, to_hour, to_minute = map(int, found.groups())
    try:
        return Hours(begins=time(from_hour, from_minute), ends=time(to_hour, to_minute))
    except ValidationError:
        raise ValueError(f"{text} does not end after it begins") from None
    except ValueError:
        raise ValueError(f"{text} has a time that is none; the last of a day is 23:59") from None


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each line that has anything in it, and where it begins. Raises: csv.Error, its second argument the line."""
    header = next(filter(str.strip, text.splitlines()), "")
    delimiter = ";" if ";" in header else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        begins = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise csv.Error(str(error), begins) from None
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield begins, cells


def _header_faults(line: int, names: list[str]) -> Iterator[Fault]:
    known = ", ".join(_COLUMNS)
    for number, name in enumerate(names, start=1):
        if name not in _COLUMNS:
            yield Fault(line, name or f"number {number}", f"is not known: expected names of {known}")
        elif name in names[: number - 1]:
            yield Fault(line, name, "is there twice: leave one of the two")
    for name in ("email", "name"):
        if name not in names:
            yield Fault(line, name, f"is missing: the first line names the columns, of {known}")


def _entry(line: int, names: list[str], cells: list[str]) -> tuple[Entry | None, list[Fault]]:
    if len(cells) != len(names):
        what = f"has {len(cells)} cells, and the first line {len(names)}: put a list with “;” or “,” in quotation marks"
        return None, [Fault(line, None, what)]
    given: dict[str, object] = {}
    faults = {}
    texts = {name: cell.strip() for name, cell in zip(names, cells, strict=True)}
    for name, text in texts.items():
        column = _COLUMNS[name]
        try:
            if text:
                given[name] = column.read(text)
            elif column.empty:
                given[name] = column.empty()
        except ValueError as error:
            faults[name] = _fault(line, name, text, str(error))
    try:
        person = PersonProfile.model_validate({**dict.fromkeys(faults), **given})
    except ValidationError as error:
        for each in error.errors(include_url=False):
            name = str(each["loc"][0])
            faults.setdefault(name, _fault(line, name, texts[name]))
    if faults:
        return None, [faults[name] for name in names if name in faults]
    return Entry(line, person), []


def _address(names: list[str], cells: list[str]) -> str | None:
    """Whose line it is, though the rest of it may be wrong; None if nobody can say."""
    try:
        return _ADDRESS.validate_python(dict(zip(names, cells, strict=True))["email"].strip())
    except ValueError:
        return None


def _fault(line: int, name: str, text: str, why: str = "") -> Fault:
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    what = "is empty" if not text else "is not valid" if name in _PRIVATE else f"“{shown}” is not valid"
    return Fault(line, name, f"{what}{f' ({why})' if why else ''}: expected {_COLUMNS[name].expected}")


def _listed(text: str) -> list[str]:
    return [word for word in (word.strip() for word in text.split(";")) if word]


def _number(text: str) -> object:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else text


def _truth(text: str) -> object:
    return _TRUTHS.get(text.lower(), text)


_COLUMNS = {
    "email": _Column(str, "an address such as rosa@example.com"),
    "name": _Column(str, "up to 200 characters of one line"),
    "roles": _Column(_listed, "names in lower case, such as sales;sales_manager", list),
    "teams": _Column(_listed, "names in lower case, such as andes;pacific", list),
    "territories": _Column(_listed, "countries, or regions of one, such as CL;AR/Córdoba", list),
    "products": _Column(_listed, "names of up to 200 characters, parted by semicolons", list),
    "languages": _Column(_listed, "codes of languages, such as es;en", list),
    "locale": _Column(str, "a language, or language and country, such as es or es-CL"),
    "time_zone": _Column(str, "a name of the IANA database, such as America/Santiago"),
    "holidays": _Column(str, "a country, or a part of one by ISO 3166-2, such as CL or ES-MD", lambda: None),
    "capacity": _Column(_number, "a whole number from 0 to 100000, or nothing for no limit", lambda: None),
    "weight": _Column(_number, "a whole number from 1 to 100"),
    "active": _Column(_truth, "yes or no"),
    "working_hours": _Column(working_hours, f"hours by day, such as {_WORK_EXAMPLE}"),
}
