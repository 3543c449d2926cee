"""Mail programs and virus scanners open every link of an email, and all that stands on the pages behind: nothing of it
changes anything anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from html import unescape
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import SQLModel
from temporalio.testing import WorkflowEnvironment

from domain.contacts import Contact
from domain.flows import FlowSettings, enrollment_workflow_id
from domain.messages import MessageClass
from domain.people import Person
from emails.folder import PEOPLE, read_messages
from emails.html_tree import parse_html
from emails.templates import EMAILS, Rendered, Templates
from runtime.settings import Settings
from store.tables import ContactRow
from tests.api.caller import Caller
from tests.api.office import Office, office_of
from tests.api.subscriber import SITE, Subscriber
from tests.waiting import until

CONSENT = {"newsletter": True, "offers": {"granted": True, "confirmed": True}, "product-news": False}
ADDRESS = re.compile(r"https?://[^\s<>\"]+")
AGENTS: tuple[dict[str, str], ...] = (
    {},
    {"User-Agent": "GoogleImageProxy"},
    {"Purpose": "prefetch", "Accept-Language": "es"},
)


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path) -> Settings:
    given = {"data_dir": tmp_path / "data", "database_url": sqlite_url, "double_opt_in": True}
    return Settings.model_validate(given)


async def test_a_scanner_that_opens_every_link_of_every_message_changes_nothing(
    api: Caller, temporal: WorkflowEnvironment
) -> None:
    entered = await api.enroll(contact={"email": "ada@example.com", "locale": "es", "consent": CONSENT})
    async with office_of(api, temporal.client) as office:
        addresses = await _addresses(api, office, entered["contact_id"])
        pages = {address.removeprefix(SITE).split("/")[1] for address in addresses if address.startswith(SITE)}
        assert pages == {"unsubscribe", "confirm", "answer"}
        await until(partial(_all_have_begun, api))
        before, runs_before = await dump(api), await run_lengths(api)
        opened = await scan(api, addresses)
        assert (await dump(api), await run_lengths(api)) == (before, runs_before)
    assert {"/console.css"} < opened, "what stands on the pages is opened too"
    assert len(opened) > len({address for address in addresses if address.startswith(SITE)})
    await Subscriber(api, entered["contact_id"]).one_click()
    assert await dump(api) != before, "a change would have been seen"


async def scan(api: Caller, addresses: set[str]) -> set[str]:
    """Open all of ours, and what they link to or load; answer what was opened."""
    opened: set[str] = set()
    ahead = [address.removeprefix(SITE) for address in addresses if address.startswith(SITE)]
    while ahead:
        path = ahead.pop()
        if path in opened:
            continue
        opened.add(path)
        for headers in AGENTS:
            await api.http.head(path, headers=headers)
            for _ in range(2):
                answer = await api.http.get(path, headers=headers)
                assert answer.status_code == 200, path
        ahead += _linked(answer.text)
    return opened


def _linked(html: str) -> Iterator[str]:
    for element in parse_html(html).all("a", "link", "img", "form", "iframe"):
        for name in ("href", "src", "action"):
            address = element.attributes.get(name, "").removeprefix(SITE)
            if address.startswith("/"):
                yield address


async def _addresses(api: Caller, office: Office, contact_id: str) -> set[str]:
    """Every address in every message that is shipped, in each language, with links of questions that are open."""
    async with api.services.database.read() as session:
        row = await session.get_one(ContactRow, contact_id)
    boss, answer_urls = await _asked(api, office)
    messages = read_messages(EMAILS)
    templates = Templates(EMAILS, messages)
    written: list[Rendered] = []
    for (flow, message), locale in product(messages, ("en", "es")):
        contact = Contact.model_construct(**{**row.model_dump(), "locale": locale})
        if flow == PEOPLE:
            person = boss.model_copy(update={"locale": locale})
            written += [_to_person(api, templates, message, person, contact, url) for url in answer_urls]
        else:
            written.append(_to_contact(api, templates, flow, message, contact))
    return {unescape(address) for mail in written for address in ADDRESS.findall(f"{mail.html} {mail.text}")}


async def _asked(api: Caller, office: Office) -> tuple[Person, list[str]]:
    """Somebody of the team, and the links by which they and others answer."""
    links = api.services.links
    boss, rep = await office.person("Boss", "sales_manager"), await office.person("Rep", "sales")
    approval, task = await office.approval([boss]), await office.task(boss)
    offer, queued = await office.offer(rep), await office.queued()
    return boss, [
        links.approval_url((await office.request(approval, boss)).id),
        links.task_url(task.id, boss.id),
        links.lead_url(offer.id, rep.id),
        links.manager_url(queued.id, boss.id),
    ]


def _to_contact(api: Caller, templates: Templates, flow: str, message: str, contact: Contact) -> Rendered:
    links = api.services.links
    transactional = templates.message(flow, message).message_class is MessageClass.TRANSACTIONAL
    # A broadcast is no flow, and has no settings.
    settings = api.services.flows[flow].settings_model() if flow in api.services.flows else FlowSettings()
    return templates.render(
        flow,
        message,
        contact=contact,
        sender=api.services.settings.sender,
        settings=settings,
        unsubscribe_url=None if transactional else links.unsubscribe_url(contact.id),
        links={"confirm_url": links.confirm_url(contact.id)},
    )


def _to_person(api: Caller, templates: Templates, message: str, person: Person, contact: Contact, url: str) -> Rendered:
    return templates.render_for_person(
        message,
        person=person,
        contact=contact,
        sender=api.services.settings.sender,
        subject="A discount",
        facts=[],
        url=url,
        until=None,
        others=[],
    )


async def run_lengths(api: Caller) -> dict[str, int]:
    """How many events each enrollment's run has in Temporal."""
    ids = [enrollment_workflow_id(row.flow, row.contact_id) for row in await api.enrollments()]
    described = [await api.services.client.get_workflow_handle(workflow_id).describe() for workflow_id in ids]
    return {run.id: run.history_length for run in described}


async def _all_have_begun(api: Caller) -> bool:
    """The runs of the office have done their first task, and wait; Ada's two flows have no worker."""
    return sorted((await run_lengths(api)).values()) == [2, 2, 4, 4, 4, 4]


async def dump(api: Caller) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that the database holds, table by table."""
    tables = SQLModel.metadata.sorted_tables
    async with api.services.database.read() as session:
        connection = await session.connection()
        return {
            table.name: sorted(tuple(map(repr, row)) for row in await connection.execute(select(table)))
            for table in tables
        }
