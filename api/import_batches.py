"""Batches of records of an import, each kept in one transaction with how far the import is then."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from sqlmodel.ext.asyncio.session import AsyncSession

from api.consenting_in_bulk import keep_words_of_many
from api.import_request import ImportRequest
from api.wiring import Services
from domain.consent import Word
from domain.contact_csv import Position, Record
from domain.import_columns import Column, ContactLine, ContactReader, Fault, topics_of
from store import imports
from store.consents import what_is_new
from store.contacts_in_bulk import Fate, Kept, Overtaken, Upserts, foreseen, upsert_contacts
from store.list_tables import ImportRow


class _Read(NamedTuple):
    contacts: list[ContactLine]
    faults: list[Fault]


class Batches:
    """Keeps records of the import `row`, which the upload `claim` works on."""

    def __init__(self, services: Services, asked: ImportRequest, row: ImportRow, claim: str) -> None:
        columns = [Column(str(column["name"]), str(column["target"])) for column in row.columns]
        self.import_id = row.id
        self._services = services
        self._claim = claim
        self._reader = ContactReader(columns)
        self._words = asked.words(services.topics, topics_of(columns), double_opt_in=services.settings.double_opt_in)

    async def keep(self, records: Sequence[Record], position: Position, *, last: bool = False) -> None:
        """Keep what these records say, and that all before `position` is done; `last`: that is the end of the file.

        Raises: ClaimLost.
        """
        # In a thread: other requests are not to wait for some hundred lines to be checked.
        read = await asyncio.to_thread(self._read, records)
        while True:
            try:
                async with self._services.database.write() as session:
                    row = await imports.claimed(session, self.import_id, self._claim)
                    await imports.note_progress(session, row, await self._keep(session, row, read), position)
                    if last:
                        await imports.note_end(session, row)
            except Overtaken:
                continue
            return

    async def sign_of_life(self) -> None:
        """Raises: ClaimLost."""
        async with self._services.database.write() as session:
            await imports.claimed(session, self.import_id, self._claim)

    def _read(self, records: Iterable[Record]) -> _Read:
        read = _Read([], [])
        for record in records:
            found = self._reader.read(record)
            if isinstance(found, ContactLine):
                read.contacts.append(found)
            else:
                read.faults.extend(found)
        return read

    async def _keep(self, session: AsyncSession, row: ImportRow, read: _Read) -> imports.Counts:
        """What came of the lines, or would have come. Who enters a segment by that is found by the next look at it."""
        if row.dry_run:
            upserts = await foreseen(session, read.contacts)
            words = self._said(kept for kept in upserts.kept if kept.contact_id in upserts.contacts)
            told = {new.contact_id for new in await what_is_new(session, words)}
        else:
            upserts = await upsert_contacts(session, read.contacts)
            told = await keep_words_of_many(session, self._services, self._said(upserts.kept), upserts.contacts)
            await imports.keep_imported(session, row.id, (kept.contact_id for kept in upserts.kept))
        faults = [*read.faults, *upserts.faults]
        await imports.keep_faults(session, row.id, faults)
        return _counts(upserts, told, bad=len({fault.line for fault in faults}))

    def _said(self, kept: Iterable[Kept]) -> dict[str, list[Word]]:
        """What contacts say on topics, in the order of their lines, by id."""
        said = defaultdict[str, list[Word]](list)
        for line, contact_id, _ in kept:
            said[contact_id] += [self._words[answer] for answer in line.consent.items()]
        return {contact_id: words for contact_id, words in said.items() if words}


def _counts(upserts: Upserts, told: Collection[str], *, bad: int) -> imports.Counts:
    """A contact of whom nothing is new but what they agree to is updated, too: by one of their lines."""
    fates = Counter(kept.fate for kept in upserts.kept)
    touched = {kept.contact_id for kept in upserts.kept if kept.fate is not Fate.UNCHANGED}
    by_words = len(set(told) - touched)
    return imports.Counts(
        created=fates[Fate.CREATED],
        updated=fates[Fate.UPDATED] + by_words,
        unchanged=fates[Fate.UNCHANGED] - by_words,
        bad=bad,
    )
