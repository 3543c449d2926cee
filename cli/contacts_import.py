"""`cauce contacts import`: a file into the API, gone on with after whatever cuts it off."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from cli.api_client import ApiClient, ApiRefused, ApiUnreachable
from cli.failures import CommandFailed
from cli.import_progress import Progress
from cli.terminal import say
from runtime.settings import Settings

_IMPORTS = "/v1/contacts/imports"
_PIECE_BYTES = 65_536
_SHOWN_FAULTS = 20
_POLL_SECONDS = 0.5
_PATIENCE_SECONDS = 120
"""So long the API may be away, or another upload be at work on the file, before the command gives up."""
_LONGEST_PAUSE_SECONDS = 8.0

Query = list[tuple[str, str]]
"""Of the import's request, in the order in which it is sent."""


def query_of(columns: Sequence[str], **options: str | None) -> Query:
    """`columns` are of the form NAME=TARGET; options that are None are left out. Raises: CommandFailed."""
    query = []
    for column in columns:
        name, equals, target = column.rpartition("=")
        if not equals:
            raise CommandFailed(f'--column "{column}": write NAME=TARGET, such as "E-mail=email"')
        query.append(("column", f"{name}:{target}"))
    return [*query, *((option, value) for option, value in options.items() if value is not None)]


async def import_contacts(settings: Settings, file: Path, query: Query, faults: Path | None, *, again: bool) -> bool:
    """Send the file, as often as it takes; answer whether every line was good. Raises: CommandFailed."""
    try:
        with file.open("rb") as opened:
            digest, size = hashlib.file_digest(opened, "sha256").hexdigest(), opened.tell()
    except OSError as error:
        raise CommandFailed(f"{file}: {error.strerror}: name a CSV file that can be read") from None
    async with ApiClient.of(settings) as api:
        upload = _Upload(api, file, size, query)
        try:
            key = await upload.key(digest, again=again)
            report = await upload.send(key)
        except asyncio.CancelledError:
            raise CommandFailed("interrupted: what is done stays done, the same command does the rest") from None
        await _tell(api, report, faults)
    return not report["bad"]


class _Upload:
    def __init__(self, api: ApiClient, file: Path, size: int, query: Query) -> None:
        self._api = api
        self._file = file
        self._size = size
        self._query = query

    async def key(self, digest: str, *, again: bool) -> str:
        """One for this file and these options, so that the same command goes on with what it has begun.

        A dry run that is over says nothing of today: the next one gets a key of its own, and so does what is imported
        again. Raises: CommandFailed if the file was imported before.
        """
        dry_run = ("dry_run", "true") in self._query
        said = json.dumps([digest, sorted(self._query)])
        while True:
            key = f"cauce-{hashlib.sha256(said.encode()).hexdigest()[:40]}"
            (known,) = (await self._api.get(f"{_IMPORTS}?idempotency_key={key}"))["items"] or [None]
            if known is None or known["status"] != "finished":
                return key
            if not (dry_run or again):
                when = known["finished_at"][:16].replace("T", " ")
                raise CommandFailed(f"{self._file} was imported before, at {when} UTC: with --again it is once more")
            said = json.dumps([said, known["id"]])

    async def send(self, key: str) -> dict[str, Any]:
        """The report. Raises: CommandFailed."""
        with Progress(self._size) as progress:
            watching = asyncio.create_task(self._watch(key, progress))
            try:
                return await self._send_until_done(key, progress)
            finally:
                watching.cancel()

    async def _send_until_done(self, key: str, progress: Progress) -> dict[str, Any]:
        clock, pause = asyncio.get_running_loop().time, 0.5
        gives_up_at, done = clock() + _PATIENCE_SECONDS, 0
        while True:
            try:
                path = f"/v1/contacts/import?{urlencode(self._query)}"
                headers = {"Content-Type": "text/csv", "Content-Length": str(self._size), "Idempotency-Key": key}
                return await self._api.upload(path, self._pieces(progress), headers)
            except (ApiRefused, ApiUnreachable) as error:
                if not _passes(error):
                    raise
                if progress.bytes_done > done:
                    gives_up_at, pause, done = clock() + _PATIENCE_SECONDS, 0.5, progress.bytes_done
                if clock() > gives_up_at:
                    raise CommandFailed(f"{error}; what is done stays done, the same command goes on") from None
                progress.note(f"waiting for the API ({type(error).__name__})")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _pieces(self, progress: Progress) -> AsyncIterator[bytes]:
        progress.sent(0)
        with self._file.open("rb") as opened:
            while piece := await asyncio.to_thread(opened.read, _PIECE_BYTES):
                yield piece
                progress.sent(opened.tell())

    async def _watch(self, key: str, progress: Progress) -> None:
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            with suppress(ApiRefused, ApiUnreachable):
                for known in (await self._api.get(f"{_IMPORTS}?idempotency_key={key}"))["items"]:
                    progress.done(known)


def _passes(error: ApiRefused | ApiUnreachable) -> bool:
    """Whether sending the file again may help: the API is away, or thinks that an upload is at work that is none."""
    return isinstance(error, ApiUnreachable) or error.status in (409, 500, 502, 503, 504)


async def _tell(api: ApiClient, report: dict[str, Any], faults: Path | None) -> None:
    counts = ", ".join(f"{report[kind]} {kind}" for kind in ("created", "updated", "unchanged", "bad"))
    if report["dry_run"]:
        counts += ": so it would be, no contact was changed"
    shown = [] if faults else report["faults"][:_SHOWN_FAULTS]
    for fault in shown:
        say(f"line {fault['line']}, {_where(fault)}: {fault['message']}")
    if faults:
        await _write_faults(api, report["id"], faults)
        say(f"bad lines: {faults}")
    elif len(report["faults"]) > len(shown) or report["more_faults"]:
        say(f"and more: --faults OUT.csv writes all of them, {_IMPORTS}/{report['id']}/faults has them")
    say(counts)
    say(f"import {report['id']}")


async def _write_faults(api: ApiClient, import_id: str, path: Path) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as opened:
            writer = csv.writer(opened)
            writer.writerow(("line", "column", "fault"))
            cursor: str | None = ""
            while cursor is not None:
                page = await api.get(f"{_IMPORTS}/{import_id}/faults?limit=1000{f'&cursor={cursor}' if cursor else ''}")
                writer.writerows((each["line"], each["column"] or "", each["message"]) for each in page["items"])
                cursor = page["next_cursor"]
    except OSError as error:
        raise CommandFailed(f"{path}: {error.strerror}: name a file that can be written") from None


def _where(fault: dict[str, Any]) -> str:
    return f"column {fault['column']}" if fault["column"] else "as a whole"
