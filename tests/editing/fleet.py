"""Many contacts in one flow on a full server, with workers of one version or another beside them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

from pydantic import JsonValue
from sqlmodel import col, select
from temporalio.client import Client

from activities.outgoing import Outgoing
from cli.deploy import Deployer
from domain.contacts import ContactProfile
from domain.flows import Progress
from domain.messages import Mailer
from emails.templates import Templates
from integrations.outbox.mailer import OutboxMailer
from runtime.deployments import Deployments
from runtime.dispatch import Dispatcher
from runtime.in_turns import in_turns
from runtime.moving import open_runs
from runtime.settings import Settings
from store.contacts import upsert_contact
from store.crm import DatabaseCrm
from store.database import Database
from store.enrollments import enroll
from store.events import record_event
from store.ledger_tables import MessageRow
from store.tables import ContactRow, EnrollmentRow, EventRow, new_id, now
from tests.editing.tour_before import TourBefore
from tests.emails.project import BODY, FOOTER
from tests.topics import topics_toml
from tests.waiting import until
from worker.process import conducting
from worker.serving import serving
from workflows.builds import build_id
from workflows.discovery import FlowClass

CONTACTS = int(os.environ.get("CAUCE_TEST_CONTACTS", "18"))
"""Few, for speed; many by `CAUCE_TEST_CONTACTS=1000 pytest --timeout 3600 tests/editing/test_editing.py`."""
PATIENCE = 60 + 2 * CONTACTS
"""Seconds."""
FLOW = "tour"
MESSAGES = ("welcome", "case-study", "story", "reminder", "tip", "note", "goodbye", "survey")


class Fleet:
    """Contacts of one flow by the step that each rests at."""

    def __init__(self, client: Client, database: Database, folder: Path) -> None:
        self.client = client
        self.database = database
        self.dispatcher = Dispatcher(database, client, {FLOW: TourBefore.about})
        self.settings = Settings(data_dir=folder, email_rate=2000)
        self.templates = _templates(folder)
        self.rows: list[EnrollmentRow] = []

    @asynccontextmanager
    async def emailing(self, mailer: Mailer | None = None) -> AsyncIterator[None]:
        mailer = mailer or OutboxMailer(self.settings.outbox_folder)
        crm = DatabaseCrm(self.database)
        flows = {FLOW: TourBefore}
        async with serving(self.client, self.settings, self.database, Outgoing(mailer), crm, self.templates, flows):
            yield

    @asynccontextmanager
    async def working(self, *versions: FlowClass) -> AsyncIterator[None]:
        """A worker of each version; the first is current if none was."""
        async with AsyncExitStack() as stack:
            for version in versions:
                await stack.enter_async_context(conducting(self.client, self.database, {FLOW: version}))
                await until(partial(self._is_at_work, version))
            yield

    async def _is_at_work(self, version: FlowClass) -> bool:
        deployments = Deployments(self.client)
        return build_id(version) in await deployments.alive(FLOW) and (await deployments.of(FLOW)).current is not None

    def deployer(self, version: FlowClass) -> Deployer:
        return Deployer(self.client, self.database, {FLOW: version})

    async def enroll(self, rests_at: str, elsewhere: timedelta = timedelta(0)) -> EnrollmentRow:
        number = len(self.rows)
        async with self.database.write() as session:
            profile = ContactProfile(email=f"contact-{number}@example.com", first_name=f"Contact {number}")
            contact = (await upsert_contact(session, profile, {}, "test")).contact
            settings: dict[str, JsonValue] = {"rests_at": rests_at, "elsewhere": f"PT{elsewhere.total_seconds():f}S"}
            row = await enroll(
                session, flow=FLOW, contact_id=contact.id, settings=settings, reenroll_after=timedelta(0)
            )
        self.rows.append(row)
        assert await self.dispatcher.start(row)
        return row

    async def happens(self, row: EnrollmentRow, name: str) -> None:
        """As the API does it: stored, then told."""
        async with self.database.write() as session:
            contact = await session.get_one(ContactRow, row.contact_id)
            event = EventRow(id=new_id(), contact_id=contact.id, name=name, occurred_at=now())
            await record_event(session, contact, event)
        await self.dispatcher.deliver(event)

    async def progress(self, rows: Iterable[EnrollmentRow]) -> list[Progress]:
        return await in_turns(self.dispatcher.progress, rows)

    async def come_to_builds(self, expected: Mapping[str, int]) -> None:
        """Wait until so many contacts are on each build. A new run counts for the old one's until its first task."""

        async def as_expected() -> bool:
            return Counter([run.build async for run in open_runs(self.client, FLOW)]) == expected

        await until(as_expected, within=PATIENCE, every=0.2)

    async def at_rest(self) -> None:
        """Wait until each contact stands at the wait that takes its time."""
        await self.come_to({row.id: str(row.settings["rests_at"]) for row in self.rows})

    async def come_to(self, places: Mapping[str, str]) -> None:
        """Wait until each of these enrollments waits at its step, and the server's list, which is late, knows of it."""
        under_way = [row for row in self.rows if row.id in places]

        async def all_there() -> bool:
            nonlocal under_way
            standing = zip(under_way, await self.progress(under_way), strict=True)
            under_way = [row for row, at in standing if at.step != places[row.id] or at.next_wake_at is None]
            return not under_way

        async def all_listed() -> bool:
            return places.keys() <= {run.enrollment_id async for run in open_runs(self.client, FLOW)}

        await until(all_there, within=PATIENCE, every=0.5)
        await until(all_listed, within=PATIENCE, every=0.2)

    async def messages(self) -> dict[str, list[str]]:
        """The steps whose emails each enrollment got, in order. Fails if any was handed over twice."""
        async with self.database.read() as session:
            rows = list(await session.exec(select(MessageRow).order_by(col(MessageRow.id))))
        assert {row.handovers for row in rows} <= {1}
        assert not [key for key, count in Counter((row.enrollment_id, row.step) for row in rows).items() if count > 1]
        sent: dict[str, list[str]] = {row.id: [] for row in self.rows}
        for row in rows:
            if row.status == "sent":
                sent[str(row.enrollment_id)].append(row.step)
        return sent

    async def exits(self) -> Counter[str]:
        async with self.database.read() as session:
            rows = await session.exec(select(EnrollmentRow))
            return Counter(row.exit or row.status for row in rows)

    async def is_being_replaced(self, row: EnrollmentRow) -> bool:
        async with self.database.read() as session:
            return (await session.get_one(EnrollmentRow, row.id)).replacing_since is not None

    async def have_ended(self, rows: Sequence[EnrollmentRow]) -> bool:
        ids = [row.id for row in rows]
        async with self.database.read() as session:
            found = await session.exec(select(EnrollmentRow.status).where(col(EnrollmentRow.id).in_(ids)))
            return set(found) == {"ended"}

    async def all_buy(self) -> None:
        """Everybody reaches the goal: whoever was lost would not hear of it."""
        await in_turns(lambda row: self.happens(row, "bought"), self.rows)

        await until(lambda: self.have_ended(self.rows), within=PATIENCE, every=0.2)


def _templates(folder: Path) -> Templates:
    root = folder / "emails"
    texts: Mapping[str, str] = {f"layout/{locale}/footer.mjml": FOOTER for locale in ("en", "es")}
    files: dict[str, str] = {**texts, "topics.toml": topics_toml("specimens")}
    for message in MESSAGES:
        files[f"{FLOW}/{message}/message.toml"] = 'class = "relationship"\ntopic = "specimens"\n'
        for locale in ("en", "es"):
            files[f"{FLOW}/{message}/{locale}/subject.txt"] = f"{message} for {{{{ contact.first_name }}}}\n"
            files[f"{FLOW}/{message}/{locale}/body.mjml"] = BODY.replace("LOCALE", locale)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Templates.load(root)
