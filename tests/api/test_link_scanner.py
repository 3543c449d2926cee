"""Mail programs and virus scanners open every link of an email, and all that stands on the pages behind: nothing of it
changes anything anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import SQLModel, select
from temporalio.testing import WorkflowEnvironment

from domain.contacts import Contact
from domain.messages import MessageClass
from emails.folder import PEOPLE, read_messages
from emails.html_tree import parse_html
from emails.templates import EMAILS, Templates
from runtime.settings import Settings
from store.tables import ContactRow
from tests.api.caller import Caller
from tests.api.office import Office, office_of
from tests.api.subscriber import SITE, Subscriber
from workflows.discovery import discover_flows

CONSENT = {"newsletter": True, "offers": {"granted": True, "confirmed": True}, "product-news": False}
ADDRESS = re.compile(r"https?://[^\s<>\"]+")
AGENTS = ({}, {"User-Agent": "GoogleImageProxy"}, {"Purpose": "prefetch", "Accept-Language": "es"})


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path) -> Settings:
    given = {"data_dir": tmp_path / "data", "database_url": sqlite_url, "double_opt_in": True}
    return Settings.model_validate(given)


async def test_a_scanner_that_opens_every_link_of_every_message_changes_nothing(
    api: Caller, temporal: WorkflowEnvironment
) -> None:
    entered = await api.enroll(contact={"email": "ada@example.com", "locale": "es", "consent": CONSENT})
    async with office_of(api, temporal.client) as office:
        addresses = set(await _addresses(api, office, entered["contact_id"]))
        pages = {address.removeprefix(SITE).split("/")[1] for address in addresses if address.startswith(SITE)}
        assert pages == {"unsubscribe", "confirm", "answer"}
        before = await dump(api)
        opened = await scan(api, addresses)
        assert await dump(api) == before
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


async def _addresses(api: Caller, office: Office, contact_id: str) -> Iterator[str]:
    """Every address in every message that is shipped, in each language, with links of questions that are open."""
    links, messages = api.services.links, read_messages(EMAILS)
    templates = Templates(EMAILS, messages)
    async with api.services.database.read() as session:
        row = await session.get_one(ContactRow, contact_id)
    boss = await office.person("Boss", "sales_manager")
    rep = await office.person("Rep", "sales")
    approval, task = await office.approval([boss]), await office.task(boss)
    offer, queued = await office.offer(rep), await office.queued()
    answers = [
        links.approval_url((await office.request(approval, boss)).id),
        links.task_url(task.id, boss.id),
        links.lead_url(offer.id, rep.id),
        links.manager_url(queued.id, boss.id),
    ]
    flows, written = discover_flows(), []
    for (flow, message), found in messages.items():
        for locale in ("en", "es"):
            contact = Contact.model_construct(**{**row.model_dump(), "locale": locale})
            given: dict[str, Any] = {"contact": contact, "sender": api.services.settings.sender}
            if flow == PEOPLE:
                for url in answers:
                    person = boss.model_copy(update={"locale": locale})
                    given_too = {"subject": "A discount", "facts": [], "until": None, "others": []}
                    written.append(templates.render_for_person(message, person=person, url=url, **given, **given_too))
                continue
            transactional = found.type is not None and found.type.message_class is MessageClass.TRANSACTIONAL
            unsubscribe_url = None if transactional else links.unsubscribe_url(contact_id)
            given |= {"settings": flows[flow].settings_model(), "unsubscribe_url": unsubscribe_url}
            confirm = {"confirm_url": links.confirm_url(contact_id)}
            written.append(templates.render(flow, message, links=confirm, **given))
    return (unescape(address) for mail in written for address in ADDRESS.findall(f"{mail.html} {mail.text}"))


async def dump(api: Caller) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that the database holds, table by table."""
    tables = SQLModel.metadata.sorted_tables
    async with api.services.database.read() as session:
        connection = await session.connection()
        return {
            table.name: sorted(tuple(map(repr, row)) for row in await connection.execute(select(table)))
            for table in tables
        }
