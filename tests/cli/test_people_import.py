"""`cauce people`, against an API that listens, and how its file is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import time
from pathlib import Path
from typing import Any

import pytest

from cli.people_csv import Fault, read_people, working_hours
from cli.ports import unused_port
from domain.working_time import Hours, Weekday
from runtime.settings import Settings
from tests.api.caller import Caller, calling, client_of_nobody, served
from tests.cli.conftest import Said

Cauce = Callable[..., Said]
People = Callable[..., Awaitable[Said]]

TEAM = """\
email,name,roles,teams,territories,products,languages,locale,time_zone,holidays,capacity,weight,active,working_hours
rosa@example.com,Rosa Pérez,sales;sales_manager,andes,CL;AR/Córdoba,,es;en,es-CL,America/Santiago,CL,20,2,yes,\
mon-fri 09:00-13:00 14:00-18:00; sat 10:00-12:00
Bo@Example.com,"Ek, Bo",sales,,,,,,,,,,,
"""


@pytest.fixture
async def api(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Caller]:
    settings = Settings.model_validate({"data_dir": tmp_path / "data", "database_url": sqlite_url})
    async with calling(settings, await client_of_nobody(unused_port())) as caller:
        yield caller


@pytest.fixture
async def people(api: Caller, cauce: Cauce, env: dict[str, str], tmp_path: Path) -> AsyncIterator[People]:
    """`people(*words, file)`: what `cauce people` says, where `FILE` stands for a file with that text."""
    async with served(api, unused_port()) as url:

        async def run(*words: str, file: str = "") -> Said:
            path = tmp_path / "team.csv"
            path.write_text(file)
            given = [str(path) if word == "FILE" else word for word in words]
            return await asyncio.to_thread(cauce, "people", *given, env={**env, "CAUCE_API_URL": url})

        yield run


async def stored(api: Caller) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.get("/v1/people")).json()["items"]
    return sorted(items, key=lambda person: str(person["email"]))


async def test_people_are_added_then_changed_where_the_file_says_so(api: Caller, people: People) -> None:
    assert await people("import", "FILE", file=TEAM) == Said(0, "2 added, 0 changed, 0 unchanged\n", "")
    bo, rosa = await stored(api)
    assert (bo["email"], bo["name"], bo["capacity"], bo["time_zone"]) == ("bo@example.com", "Ek, Bo", None, "UTC")
    assert rosa["roles"] == ["sales", "sales_manager"]
    assert rosa["territories"] == ["CL", "AR/Córdoba"]
    assert (rosa["capacity"], rosa["weight"], rosa["active"]) == (20, 2, True)
    assert rosa["working_hours"]["saturday"] == [{"begins": "10:00:00", "ends": "12:00:00"}]

    assert (await people("import", "FILE", file=TEAM)).stdout == "0 added, 0 changed, 2 unchanged\n"
    assert await stored(api) == [bo, rosa]

    changes = 'email,name,active\nrosa@example.com,Rosa Pérez,no\nbo@example.com,"Ek, Bo",\nnew@example.com,New,\n'
    assert (await people("import", "FILE", file=changes)).stdout == "1 added, 1 changed, 1 unchanged\n"
    assert [person for person in await stored(api) if person["name"] != "New"] == [
        bo,
        {**rosa, "active": False, "updated_at": (await stored(api))[-1]["updated_at"]},
    ]


async def test_dry_run_tells_of_each_and_sends_nothing(api: Caller, people: People) -> None:
    await people("import", "FILE", file="email,name,weight\nrosa@example.com,Rosa,1\n")
    before = await stored(api)
    said = await people(
        "import", "FILE", "--dry-run", file="email,name,weight\nrosa@example.com,R,2\nbo@example.com,Bo,\n"
    )
    assert said.stdout.splitlines() == [
        "line 2: rosa@example.com changed (name, weight)",
        "line 3: bo@example.com added",
        "1 added, 1 changed, 0 unchanged: so it would be, nothing was sent",
    ]
    assert await stored(api) == before


async def test_one_bad_line_keeps_all_lines_from_being_sent(api: Caller, people: People) -> None:
    said = await people("import", "FILE", file=f"{TEAM}nobody,N,Sales,,,,,,Santiago,,,,,mon 9-18\n")
    assert said.status == 1
    assert "1 bad line: nothing was imported" in said.stderr
    assert said.stdout.splitlines() == [
        "line 4, column email: is not valid: expected an address such as rosa@example.com",
        "line 4, column roles: “Sales” is not valid: expected names in lower case, such as sales;sales_manager",
        "line 4, column time_zone: “Santiago” is not valid: expected a name of the IANA database, such as "
        "America/Santiago",
        "line 4, column working_hours: “mon 9-18” is not valid (9-18 is not from one time to another): expected hours "
        "by day, such as mon-fri 09:00-13:00 14:00-18:00; sat 10:00-12:00",
    ]
    assert await stored(api) == []


async def test_people_are_listed_by_name(api: Caller, people: People) -> None:
    team = "email,name\n" + "".join(f"p{number:03}@example.com,[red]P{number:03}\n" for number in range(101, 0, -1))
    assert (await people("import", "FILE", file=team)).stdout == "101 added, 0 changed, 0 unchanged\n"
    _, titles, _, *lines = (await people("list")).stdout.splitlines()
    assert titles.split() == ["name", "email", "roles", "teams", "time", "zone", "capacity", "weight", "active"]
    assert [line.split()[0] for line in lines if line.strip()] == [f"[red]P{number:03}" for number in range(1, 102)]


def test_without_an_api_it_says_so(cauce: Cauce, env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "team.csv").write_text(TEAM)
    said = cauce("people", "import", str(tmp_path / "team.csv"), env=env)
    assert said.status == 1
    assert "cauce up" in said.stderr


def test_file_that_is_not_there_is_told(cauce: Cauce, env: dict[str, str], tmp_path: Path) -> None:
    said = cauce("people", "import", str(tmp_path / "team.csv"), env=env)
    assert (said.status, said.stderr.count("\n")) == (1, 1)
    assert "No such file" in said.stderr


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "BOM"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("comma", [",", ";"])
def test_files_of_any_spreadsheet_are_read(mark: str, end: str, comma: str) -> None:
    lines = [["Email", " name ", "roles"], ["rosa@example.com", "Pérez; Rosa", "sales; marketing;"], [], ["", " ", ""]]
    text = end.join(comma.join(f'"{cell}"' for cell in cells) for cells in [*lines, ["bo@example.com", "Bo", ""]])
    entries, faults = read_people(f"{mark}{text}{end}".encode())
    assert faults == []
    assert [(entry.line, entry.person.name, entry.person.roles) for entry in entries] == [
        (2, "Pérez; Rosa", ["sales", "marketing"]),
        (5, "Bo", []),
    ]


def test_example_of_the_documents_is_read() -> None:
    text = (Path(__file__).parents[2] / "docs/operating.md").read_text()
    entries, faults = read_people(text.partition("```csv\n")[2].partition("```")[0].encode())
    assert faults == []
    assert [entry.person.name for entry in entries] == ["Inma Soler", "Bo Ek"]


def test_empty_cell_empties_what_may_be_empty_and_leaves_the_rest() -> None:
    header = "email,name,roles,capacity,holidays,locale,time_zone,weight,active,working_hours\n"
    ((_, person),), _ = read_people(f"{header}bo@example.com,Bo,,,,,,,,\n".encode())
    given = person.model_dump(exclude_unset=True)
    assert given == {"email": "bo@example.com", "name": "Bo", "roles": [], "capacity": None, "holidays": None}


@pytest.mark.parametrize(("word", "active"), [("yes", True), ("FALSE", False), ("VERDADERO", True), ("0", False)])
def test_whether_somebody_is_active_is_said_as_spreadsheets_do(word: str, active: bool) -> None:
    ((_, person),), _ = read_people(f"email,name,active\nbo@example.com,Bo,{word}\n".encode())
    assert person.active is active


@pytest.mark.parametrize(
    ("content", "line", "column", "what"),
    [
        (b"name\n", 1, "email", "is missing"),
        (b"email\n", 1, "name", "is missing"),
        (b"email,name,rol\n", 1, "rol", "is not known"),
        (b"email,name,\n", 1, "number 3", "is not known"),
        (b"email,name,Name\n", 1, "name", "is there twice"),
        (b"email,name\na@example.com,A\xf1o\n", 2, None, "is not UTF-8"),
        ("email,name\n".encode("utf-16"), 1, None, "is not UTF-8"),
        (b"email,name,roles\na@example.com,A,sales,marketing\n", 2, None, "has 4 cells, and the first line 3"),
        (b'email,name\na@example.com,A\nb@example.com,"B\n\n', 3, None, "is not CSV"),
        (b'email,name\na@example.com,"A" B\n', 2, None, "is not CSV"),
        (b"email,name\na@example.com,A\n\nA@Example.com,B\n", 4, "email", "is in line 2 already"),
        (b"email,name\na@example.com,\n", 2, "name", "is empty"),
        (b'email,name\na@example.com,"A\nB"\n', 2, "name", "is not valid"),
        (b"email,name,capacity\na@example.com,A,many\n", 2, "capacity", "“many” is not valid"),
        (b"email,name,capacity\na@example.com,A," + b"9" * 9_999 + b"\n", 2, "capacity", "9…” is not valid"),
        (b"email,name,weight\na@example.com,A,0\n", 2, "weight", "expected a whole number from 1 to 100"),
        (b"email,name,active\na@example.com,A,maybe\n", 2, "active", "expected yes or no"),
        (b"email,name,holidays\na@example.com,A,Chile\n", 2, "holidays", "such as CL or ES-MD"),
        (b"email,name,languages\na@example.com,A,es;Spanish\n", 2, "languages", "“es;Spanish” is not valid"),
    ],
)
def test_bad_line_is_told_with_what_to_do(content: bytes, line: int, column: str | None, what: str) -> None:
    _, faults = read_people(content)
    (fault,) = faults
    assert (fault.line, fault.column) == (line, column)
    assert what in fault.what


def test_every_bad_line_is_told() -> None:
    _, faults = read_people(b"email,name,weight\nx,,0\na@example.com,A,1\ny,B,1\n")
    assert [(fault.line, fault.column) for fault in faults] == [(2, "email"), (2, "name"), (2, "weight"), (4, "email")]
    assert str(Fault(3, None, "is cut")) == "line 3, as a whole: is cut"


def test_address_that_is_there_twice_is_told_also_of_lines_with_other_faults() -> None:
    _, faults = read_people(b"email,name,weight\na@example.com,A,0\nA@example.com,B,1\n a@example.com ,C,0\n")
    assert [(fault.line, fault.column) for fault in faults] == [
        (2, "weight"),
        (3, "email"),
        (4, "weight"),
        (4, "email"),
    ]


def hours(*spans: tuple[int, int]) -> list[Hours]:
    return [Hours(begins=time(begins), ends=time(ends)) for begins, ends in spans]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("mon 9:00-18:00", {Weekday.MONDAY: hours((9, 18))}),
        ("Mon,Wednesday 14:00-18:00 09:00-13:00;", dict.fromkeys(("monday", "wednesday"), hours((9, 13), (14, 18)))),
        ("sat-mon 10:00-12:00", dict.fromkeys(("saturday", "sunday", "monday"), hours((10, 12)))),
        ("mon-sun 08:00-09:00", dict.fromkeys(Weekday, hours((8, 9)))),
        (
            "fri 9:00-10:00 10:00-11:00 ; ; tue 9:00-10:00",
            {"friday": hours((9, 10), (10, 11)), "tuesday": hours((9, 10))},
        ),
    ],
)
def test_working_hours_are_read(text: str, read: dict[Weekday, list[Hours]]) -> None:
    assert working_hours(text) == read


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mon", "mon has no hours"),
        ("lunes 9:00-18:00", "lunes names no days"),
        ("mon- 9:00-18:00", "mon- names no days"),
        ("mon - fri 9:00-18:00", "- is not from one time to another"),
        ("mon 9-18", "9-18 is not from one time to another"),
        ("mon 18:00-09:00", "18:00-09:00 does not end after it begins"),
        ("mon 18:00-24:00", "the last of a day is 23:59"),
        ("mon 9:00-13:00 12:00-18:00", "hours of mon 9:00-13:00 12:00-18:00 overlap"),
        ("mon-fri 9:00-18:00; fri 9:00-14:00", "friday is there twice"),
        ("9:00-18:00", "9:00-18:00 has no hours"),
    ],
)
def test_working_hours_that_say_nothing_are_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        working_hours(text)
