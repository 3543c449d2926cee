"""One upload of a file of contacts: read as it comes, kept some hundred lines at a time, gone on with after a cut.

However large the file is, no more than a batch of it is in memory. Each batch is one transaction, which writes down how
much of the file is done and the digest of that: whoever sends the file again has it skipped, if it is the same.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect

from api.import_batches import Batches
from api.import_problems import bad_header, cut_off, under_way
from api.import_request import ImportRequest
from api.problems import key_reused
from api.wiring import Services
from domain.contact_csv import Prefix, Record, Records
from domain.import_columns import HeaderFault, columns_of
from store import imports
from store.list_tables import ImportRow
from store.tables import new_id

BATCH = 500
SIGN_OF_LIFE_SECONDS = 5.0
"""An upload that brings less than a batch in that time says that it lives: well within `imports.CLAIM_LASTS`."""


async def import_file(
    services: Services, asked: ImportRequest, idempotency_key: str | None, pieces: AsyncIterator[bytes]
) -> tuple[str, bool]:
    """Import a file from its beginning, or go on with what an earlier upload with this key has left.

    Returns: the import's id, and whether this upload finished it; if not, an earlier one had.
    Raises: ProblemError 409 while another upload works on it; 422 for a first line that says too little, and for
    another file or other options than came with the key before; 400 if the file is cut off.
    """
    claim = new_id()
    known = await _known(services, asked, idempotency_key, claim)
    upload = _Upload(services, asked, idempotency_key, claim, known)
    try:
        if known is not None and known.status == imports.FINISHED:
            await _require_same_file(known, pieces)
            return known.id, False
        async for piece in pieces:
            await upload.take(piece)
        return await upload.end(), True
    except ClientDisconnect:
        raise cut_off(upload.import_id) from None
    except imports.ClaimLost:
        raise under_way(str(upload.import_id)) from None
    finally:
        await upload.leave()


async def _known(services: Services, asked: ImportRequest, idempotency_key: str | None, claim: str) -> ImportRow | None:
    """The import that came with this key before, claimed unless it is finished. Raises: ProblemError 409, 422."""
    async with services.database.write() as session:
        row = await imports.import_by_key(session, idempotency_key)
        if row is None:
            return None
        if row.options != asked.options() or row.dry_run != asked.dry_run:
            raise key_reused()
        if row.status != imports.FINISHED and not await imports.claim_import(session, row.id, claim):
            raise under_way(row.id)
    return row


async def _require_same_file(row: ImportRow, pieces: AsyncIterator[bytes]) -> None:
    """Raises: ProblemError 422."""
    whole = Prefix(row.bytes_done)
    async for piece in pieces:
        if whole.take(piece):
            raise key_reused()
    _require_prefix(row, whole)


def _require_prefix(row: ImportRow, prefix: Prefix) -> None:
    if prefix.missing or prefix.hash.hexdigest() != row.digest:
        raise key_reused()


class _Upload:
    """Takes the pieces of a file, in their order. `known` is the import that it goes on with."""

    def __init__(
        self,
        services: Services,
        asked: ImportRequest,
        idempotency_key: str | None,
        claim: str,
        known: ImportRow | None,
    ) -> None:
        self._services = services
        self._asked = asked
        self._key = idempotency_key
        self._claim = claim
        self._known = known
        self._prefix = Prefix(known.bytes_done if known else 0)
        self._records: Records | None = None
        """Once the prefix is over."""
        self._batches = Batches(services, asked, known, claim) if known else None
        """Once the columns are known."""
        self._waiting: list[Record] = []
        self._alive_at = time.monotonic()

    @property
    def import_id(self) -> str | None:
        """None: nothing is stored yet."""
        return self._batches.import_id if self._batches else None

    async def take(self, piece: bytes) -> None:
        """Raises: ProblemError 409, 422; ClaimLost."""
        rest = self._prefix.take(piece)
        if not self._prefix.missing:
            await self._read(rest)
        if self._batches and time.monotonic() - self._alive_at > SIGN_OF_LIFE_SECONDS:
            await self._keep()

    async def end(self) -> str:
        """The file was whole; answer the import's id. Raises: as `take`."""
        await self._read(b"", last=True)
        if self.import_id is None:
            raise bad_header([HeaderFault("the file is empty: its first line has to name the columns")])
        await self._keep(last=True)
        return self.import_id

    async def leave(self) -> None:
        """Let another upload go on with what this one has left."""
        if self.import_id is not None:
            async with self._services.database.write() as session:
                await imports.release(session, self.import_id, self._claim)

    async def _read(self, piece: bytes, *, last: bool = False) -> None:
        if self._records is None:
            self._records = self._behind_prefix()
        for record in self._records.take(piece, last=last):
            if self._batches is None:
                self._batches = await self._begin(record, self._records)
                continue
            self._waiting.append(record)
            if len(self._waiting) == BATCH:
                await self._keep()

    def _behind_prefix(self) -> Records:
        if self._known is None:
            return Records()
        _require_prefix(self._known, self._prefix)
        return Records(self._known.delimiter, after=self._prefix, lines=self._known.lines)

    async def _begin(self, header: Record, records: Records) -> Batches:
        """Store an import with the columns that the first record names. Raises: ProblemError 409, 422."""
        if header.fault:
            raise bad_header([HeaderFault(header.fault)])
        topics, ignore_others = self._services.topics, self._asked.unmapped == "ignore"
        columns, faults = columns_of(header.cells, self._asked.mapping(), topics, ignore_others=ignore_others)
        if faults:
            raise bad_header(faults)
        done, lines, digest = records.position()
        row = ImportRow(
            idempotency_key=self._key,
            name=self._asked.name,
            dry_run=self._asked.dry_run,
            options=self._asked.options(),
            delimiter=records.delimiter or ",",
            columns=[column._asdict() for column in columns],
            bytes_done=done,
            lines=lines,
            digest=digest,
        )
        async with self._services.database.write() as session:
            if not await imports.begin(session, row, self._claim):
                first = await imports.import_by_key(session, self._key)
                raise under_way(first.id if first else row.id)
        return Batches(self._services, self._asked, row, self._claim)

    async def _keep(self, *, last: bool = False) -> None:
        """Keep what waits; without anything that waits, it is a sign of life."""
        if self._batches and self._records:
            await self._batches.keep(self._waiting, self._records.position(), last=last)
        elif self._batches:
            await self._batches.sign_of_life()
        self._waiting = []
        self._alive_at = time.monotonic()
