"""`cauce people`: the team from a file into the API, and listed from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from rich import box
from rich.table import Column, Table

from cli.api_client import ApiClient, ApiRefused, ApiUnreachable
from cli.failures import CommandFailed
from cli.people_csv import Entry, read_people
from cli.terminal import say
from runtime.settings import Settings


class _Change(NamedTuple):
    """What a line asks of the API. Without `person_id` somebody is added; nothing in `body`: all is so already."""

    line: int
    email: str
    person_id: str | None
    body: dict[str, Any]

    @property
    def kind(self) -> str:
        if self.person_id is None:
            return "added"
        return "changed" if self.body else "unchanged"

    async def make(self, api: ApiClient) -> None:
        if self.person_id is None:
            await api.post("/v1/people", self.body)
        elif self.body:
            await api.patch(f"/v1/people/{self.person_id}", self.body)


async def import_people(settings: Settings, file: Path, *, dry_run: bool) -> None:
    """Add people and change those whom the API knows by address. Twice does nothing more.

    Every line is checked before the first is sent. Raises: CommandFailed.
    """
    entries = _entries(file)
    async with ApiClient.of(settings) as api:
        changes = [await _change(api, entry) for entry in entries]
        if dry_run:
            for change in changes:
                of_what = f" ({', '.join(change.body)})" if change.kind == "changed" else ""
                say(f"line {change.line}: {change.email} {change.kind}{of_what}")
            say(f"{_counted(changes)}: so it would be, nothing was sent")
            return
        for number, change in enumerate(changes):
            try:
                await change.make(api)
            except (ApiRefused, ApiUnreachable) as error:
                done = _counted(changes[:number])
                raise CommandFailed(f"line {change.line}: {error}; before it {done}: import the file again") from None
    say(_counted(changes))


async def people_table(settings: Settings) -> Table:
    """Everybody, by name. Raises: CommandFailed."""
    people: list[dict[str, Any]] = []
    async with ApiClient.of(settings) as api:
        cursor: str | None = ""
        while cursor is not None:
            page = await api.get(f"/v1/people?limit=100{f'&cursor={cursor}' if cursor else ''}")
            people += page["items"]
            cursor = page["next_cursor"]
    titles = ("name", "email", "roles", "teams", "time zone", "capacity", "weight", "active")
    table = Table(*(Column(title, overflow="fold") for title in titles), box=box.SIMPLE)
    for person in sorted(people, key=lambda person: (person["name"].casefold(), person["email"])):
        table.add_row(
            person["name"],
            person["email"],
            ", ".join(person["roles"]),
            ", ".join(person["teams"]),
            person["time_zone"],
            "no limit" if person["capacity"] is None else str(person["capacity"]),
            str(person["weight"]),
            "yes" if person["active"] else "no",
        )
    return table


def _entries(file: Path) -> list[Entry]:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise CommandFailed(f"{file}: {error.strerror}: name a CSV file that can be read") from None
    entries, faults = read_people(content)
    if not faults:
        return entries
    for fault in faults:
        say(str(fault))
    lines = len({fault.line for fault in faults})
    raise CommandFailed(f"{file}: {lines} bad line{'s' * (lines > 1)}: nothing was imported, mend and import again")


async def _change(api: ApiClient, entry: Entry) -> _Change:
    wanted = entry.person.model_dump(mode="json", exclude_unset=True)
    email = entry.person.email
    found = (await api.get(f"/v1/people?email={quote(email, safe='')}"))["items"]
    if not found:
        return _Change(entry.line, email, None, wanted)
    (person,) = found
    differing = {field: value for field, value in wanted.items() if person[field] != value}
    return _Change(entry.line, email, person["id"], differing)


def _counted(changes: list[_Change]) -> str:
    kinds = [change.kind for change in changes]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in ("added", "changed", "unchanged"))
