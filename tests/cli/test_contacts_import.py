"""`cauce contacts import`, against an API that listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cli.contacts_import import import_contacts, query_of
from cli.failures import CommandFailed
from cli.ports import unused_port
from runtime.settings import Settings
from tests.api.caller import Caller, calling, client_of_nobody, served
from tests.cli.conftest import Said
from tests.waiting import until

Cauce = Callable[..., Said]
Import = Callable[..., Awaitable[Said]]

FILE = "E-mail;Plan;first name\nada@example.com;pro;Ada\nbo@example.com;;Bo\n"
COLUMNS = ("--column", "E-mail=email", "--column", "Plan=attributes.plan")


@pytest.fixture
async def api(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Caller]:
    settings = Settings.model_validate({"data_dir": tmp_path / "data", "database_url": sqlite_url})
    async with calling(settings, await client_of_nobody(unused_port())) as caller:
        yield caller


@pytest.fixture
async def url(api: Caller) -> AsyncIterator[str]:
    async with served(api, unused_port()) as url:
        yield url


@pytest.fixture
def import_(url: str, cauce: Cauce, env: dict[str, str], tmp_path: Path) -> Import:
    """`import_(*words, file)`: what `cauce contacts import` says of a file with that text."""

    async def run(*words: str, file: str = FILE) -> Said:
        path = tmp_path / "fair.csv"
        path.write_text(file)
        words = ("contacts", "import", str(path), *words)
        return await asyncio.to_thread(cauce, *words, env={**env, "CAUCE_API_URL": url})

    return run


async def known(api: Caller) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.get("/v1/contacts/imports")).json()["items"]
    return items


async def test_a_file_is_imported_and_said_what_became_of_it(api: Caller, import_: Import) -> None:
    said = await import_(*COLUMNS)
    (report,) = await known(api)
    assert said == Said(0, f"2 created, 0 updated, 0 unchanged, 0 bad\nimport {report['id']}\n", "")
    assert {row.email: (row.first_name, row.attributes) for row in await api.contacts()} == {
        "ada@example.com": ("Ada", {"plan": "pro"}),
        "bo@example.com": ("Bo", {}),
    }
    assert report["name"] == "fair.csv"


async def test_bad_lines_are_shown_and_end_it_with_a_status_of_their_own(import_: Import, tmp_path: Path) -> None:
    file = "email\n" + "".join(f"nobody{number}\n" for number in range(150)) + "ada@example.com\n"
    said = await import_(file=file)
    told = "column email: is not valid: expected an address such as ada@example.com"
    *shown, more, counts, _ = said.stdout.splitlines()
    assert shown == [f"line {number}, {told}" for number in range(2, 22)]
    assert "--faults OUT.csv" in more
    assert (said.status, counts) == (1, "1 created, 0 updated, 0 unchanged, 150 bad")

    out = tmp_path / "faults.csv"
    said = await import_("--faults", str(out), "--again", file=file)
    assert (said.status, said.stdout.splitlines()[0]) == (1, f"bad lines: {out}")
    header, *rows = out.read_text().splitlines()
    assert (header, len(rows), rows[0][:8]) == ("line,column,fault", 150, "2,email,")


async def test_a_dry_run_changes_nothing_and_may_be_repeated(api: Caller, import_: Import) -> None:
    for _ in range(3):
        said = await import_(*COLUMNS, "--dry-run")
        assert "2 created, 0 updated, 0 unchanged, 0 bad: so it would be" in said.stdout
    assert await api.contacts() == []
    assert len(await known(api)) == 3


async def test_a_file_is_imported_twice_only_if_that_is_asked_for(api: Caller, import_: Import) -> None:
    await import_(*COLUMNS)
    said = await import_(*COLUMNS)
    assert said.status == 1
    assert "was imported before" in said.stderr
    assert "--again" in said.stderr
    for _ in range(2):
        assert (await import_(*COLUMNS, "--again")).stdout.startswith("0 created, 0 updated, 2 unchanged, 0 bad\n")
    assert len(await known(api)) == 3


async def test_a_file_that_the_api_refuses_says_why(import_: Import) -> None:
    said = await import_()
    assert said.status == 1
    assert "no column is email" in said.stderr
    assert "import" not in said.stdout
    assert "column 2 (“Plan”) is not known" in (await import_("--column", "E-mail=email")).stderr
    assert (await import_("--column", "E-mail=email", "--ignore-unmapped")).status == 0


async def test_consent_is_told_with_where_it_was_given(api: Caller, import_: Import) -> None:
    file = "email,consent.offers\nada@example.com,yes\n"
    await import_("--consent-source", "fair", "--consent-wording", "1", "--consent-confirmed", file=file)
    (ada,) = await api.contacts()
    (word,) = (await api.get(f"/v1/contacts/{ada.id}/consent")).json()["items"]
    assert (word["source"], word["wording"]) == ("fair", "1")


def test_without_a_file_it_says_so(cauce: Cauce, env: dict[str, str], tmp_path: Path) -> None:
    said = cauce("contacts", "import", str(tmp_path / "none.csv"), env=env)
    assert (said.status, said.stderr.count("\n")) == (1, 1)
    assert "No such file" in said.stderr


def test_a_column_without_a_target_is_told() -> None:
    assert query_of(["a=b=email"], name=None, dry_run="true") == [("column", "a=b:email"), ("dry_run", "true")]
    with pytest.raises(CommandFailed, match="write NAME=TARGET"):
        query_of(["email"])


class Cutting:
    """A proxy that cuts its first connection with a large body in the middle, and lets all later ones through."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.cut = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        api_reader, api_writer = await asyncio.open_connection("127.0.0.1", self._port)
        back = asyncio.create_task(self._pass(api_reader, writer, None))
        await self._pass(reader, api_writer, 20_000 if not self.cut else None)
        api_writer.close()
        await back
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, at_most: int | None) -> None:
        passed = 0
        while piece := await reader.read(8_192):
            writer.write(piece)
            await writer.drain()
            passed += len(piece)
            if at_most is not None and passed > at_most:
                self.cut += 1
                return


async def test_an_upload_that_is_cut_off_goes_on_by_itself(
    api: Caller, cauce: Cauce, env: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "fair.csv"
    path.write_text("email,first_name\n" + "".join(f"c{number}@example.com,Ada\n" for number in range(1_500)))
    port, proxy_port = unused_port(), unused_port()
    cutting = Cutting(port)
    async with served(api, port), await asyncio.start_server(cutting, "127.0.0.1", proxy_port):
        url = f"http://127.0.0.1:{proxy_port}"
        said = await asyncio.to_thread(cauce, "contacts", "import", str(path), env={**env, "CAUCE_API_URL": url})
    assert (said.status, said.stdout.splitlines()[0]) == (0, "1500 created, 0 updated, 0 unchanged, 0 bad")
    assert cutting.cut == 1
    assert len(await known(api)) == 1
    assert len(await api.contacts()) == 1_500


async def test_an_import_that_is_interrupted_goes_on_when_the_command_comes_again(
    api: Caller, import_: Import, url: str, tmp_path: Path
) -> None:
    """Ctrl-C cancels the command's task, as here."""
    file = "email,first_name\n" + "".join(f"c{number}@example.com,Ada\n" for number in range(5_000))
    path = tmp_path / "fair.csv"
    path.write_text(file)
    settings = Settings.model_validate({"data_dir": tmp_path, "api_url": url})
    command = import_contacts(settings, path, query_of([], name=path.name), None, again=False)
    importing = asyncio.create_task(command)

    async def has_begun() -> bool:
        return any(each["created"] for each in await known(api))

    await until(has_begun)
    importing.cancel()
    with pytest.raises(CommandFailed, match="the same command does the rest"):
        await importing
    said = await import_(file=file)
    assert said.stdout.splitlines()[0] == "5000 created, 0 updated, 0 unchanged, 0 bad"
    assert len(await known(api)) == 1
