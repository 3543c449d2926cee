"""The pages by which people answer, from the links in their emails."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from temporalio.testing import WorkflowEnvironment

from api.console.texts import TEXTS
from domain.people import Person
from domain.questions import content_hash
from domain.working_time import Weekday
from runtime.links import Links
from runtime.settings import Settings
from store.approvals import ask_person, begin_stage, close_approval, open_approval
from store.people_tables import ApprovalRow, AssignmentRow, TaskRow
from store.tables import EnrollmentRow, now
from tests.api.caller import ADA, Caller, calling, client_of_nobody
from tests.api.databases import on_both_databases
from tests.api.office import Office, office_of
from tests.waiting import until

ORIGIN = "http://127.0.0.1:8000"


class Visitor:
    """A browser without JavaScript, at one page."""

    def __init__(self, office: Office, url: str) -> None:
        self._http = office.api.http
        self.path = url.removeprefix(ORIGIN)
        self.answer = httpx.Response(0)

    async def open(self, status: int = 200, language: str = "en") -> str:
        self.answer = await self._http.get(self.path, headers={"Accept-Language": language})
        return self.shown(status)

    async def send(self, status: int = 303, **fields: str) -> str:
        """Fill in the form that is shown, and press a button."""
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', self.answer.text))
        self.answer = await self._http.post(self.path, data={**hidden, **fields})
        if status == 303:
            assert self.answer.status_code == 303, self.answer.text
            assert self.answer.headers["location"] == self.path
            assert "no-store" in self.answer.headers["cache-control"]
            return await self.open()
        return self.shown(status)

    def shown(self, status: int) -> str:
        answer = self.answer
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        page = answer.text
        assert '<meta name="robots" content="noindex">' in page
        assert re.search(r"<script|<style|\son\w+=|\sstyle=", page) is None
        assert page.count("<h1>") == 1
        for id_ in re.findall(r'<(?:textarea|select) id="([\w-]+)"', page):
            assert page.count(f'<label for="{id_}">') == 1
        ids = re.findall(r' id="([\w-]+)"', page)
        assert len(ids) == len(set(ids))
        assert "/outbox" not in page
        return html.unescape(page)

    @property
    def has_form(self) -> bool:
        return "<form" in self.answer.text


@pytest.fixture
async def office(api: Caller, temporal: WorkflowEnvironment) -> AsyncIterator[Office]:
    async with office_of(api, temporal.client) as office:
        yield office


@pytest.fixture
async def rosa(office: Office) -> Person:
    return await office.person("Rosa", "sales_manager", locale="es-CL", time_zone="America/Santiago")


@pytest.fixture
async def bo(office: Office) -> Person:
    return await office.person("Bo", "sales_manager")


async def _visit(office: Office, approval: ApprovalRow, person: Person) -> Visitor:
    request = await office.request(approval, person)
    return Visitor(office, office.api.services.links.approval_url(request.id))


async def test_page_shows_what_is_asked_and_of_whom(office: Office, rosa: Person, bo: Person) -> None:
    approval = await office.approval([rosa, bo], facts={"discount_percent": 30, "first_order": True, "note": "<b>&"})
    page = await (visitor := await _visit(office, approval, rosa)).open()
    assert '<html lang="es">' in page
    assert f"<h1>{TEXTS['es']['approval_ask']}</h1>" in page
    for shown in ("A discount of 30 %", "Discount percent", "<dd>30</dd>", "<dd>sí</dd>", "<b>&", "Ada Lovelace"):
        assert shown in page
    assert "<b>&" not in visitor.answer.text
    flow = "Bienvenida: del primer día"
    for shown in ("Engines", "Chile", "Rosa (tú)", "Bo", "dirección de ventas", flow, "America/Santiago"):
        assert shown in page
    contact = await office.contact(approval)
    assert contact.email not in page
    assert bo.email not in page


async def test_role_of_an_installations_own_is_called_as_there(office: Office, rosa: Person) -> None:
    approval = await office.approval([rosa], role="head_of_legal")
    assert "<td>head of legal</td>" in await (await _visit(office, approval, rosa)).open()


@pytest.mark.parametrize("target", ["enrollments", "contacts", "flows"])
async def test_while_the_flow_is_on_hold_a_page_tells_no_deadline(office: Office, bo: Person, target: str) -> None:
    approval, task, offer = await office.approval([bo]), await office.task(bo), await office.offer(bo)
    links = office.api.services.links
    urls: dict[str, ApprovalRow | TaskRow | AssignmentRow] = {
        links.approval_url((await office.request(approval, bo)).id): approval,
        links.task_url(task.id, bo.id): task,
        links.lead_url(offer.id, bo.id): offer,
    }
    for url, row in urls.items():
        ids = {"enrollments": row.enrollment_id, "contacts": row.contact_id, "flows": row.flow}
        visitor = Visitor(office, url)
        deadline = re.compile(r"Please answer by|Due \d")
        held = TEXTS["en"]["answer_held"]
        assert deadline.search(page := await visitor.open())
        assert held not in page
        await office.api.post(f"/v1/{target}/{ids[target]}/hold", {})
        assert held in (page := await visitor.open())
        assert not deadline.search(page)
        assert visitor.has_form
        await office.api.post(f"/v1/{target}/{ids[target]}/resume", {})


async def test_opening_the_link_decides_nothing(office: Office, rosa: Person) -> None:
    approval = await office.approval([rosa])
    visitor = await _visit(office, approval, rosa)
    for _ in range(3):
        await visitor.open()
        head = await office.api.http.head(visitor.path)
        assert (head.status_code, head.content) == (200, b"")
        for query in ("?choice=approve", "?decision=approve&comment=x"):
            assert (await office.api.http.get(visitor.path + query)).status_code == 200
    assert (await office.read(approval))["status"] == "pending"
    assert await office.answers() == []


@on_both_databases
async def test_form_decides_once_and_then_shows_what_came_of_it(office: Office, rosa: Person, bo: Person) -> None:
    approval = await office.approval([rosa, bo])
    visitor = await _visit(office, approval, rosa)
    await visitor.open()
    page = await visitor.send(choice="approve", comment="Primer pedido.\r\nVale.")
    assert f"<h1>{TEXTS['es']['approval_approve']}</h1>" in page
    assert "<blockquote>Primer pedido.\nVale.</blockquote>" in page
    assert not visitor.has_form
    assert (await office.read(approval))["status"] == "approved"

    late = await _visit(office, approval, bo)
    page = await late.open()
    assert f"<h1>{TEXTS['en']['approval_approved']}</h1>" in page
    assert "Rosa approved" in page
    assert not late.has_form


async def test_button_pressed_twice_is_one_answer(office: Office, rosa: Person, bo: Person) -> None:
    approval = await office.approval([rosa, bo], needs="all")
    visitor = await _visit(office, approval, rosa)
    await visitor.open()
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', visitor.answer.text)) | {"choice": "approve"}
    answers = await asyncio.gather(*(office.api.http.post(visitor.path, data=fields) for _ in range(3)))
    assert [answer.status_code for answer in answers] == [303, 303, 303]
    assert len(await office.answers()) == 1


async def test_two_people_at_their_pages_at_once_decide_once(office: Office, rosa: Person, bo: Person) -> None:
    approval = await office.approval([rosa, bo])
    visitors = [await _visit(office, approval, person) for person in (rosa, bo)]
    for visitor in visitors:
        await visitor.open()
    fields = {"content_hash": approval.content_hash}
    answers = await asyncio.gather(
        office.api.http.post(visitors[0].path, data={**fields, "choice": "approve"}),
        office.api.http.post(visitors[1].path, data={**fields, "choice": "reject"}),
    )
    assert sorted(answer.status_code for answer in answers) == [303, 409]


async def test_second_answer_says_that_the_first_counts(office: Office, rosa: Person, bo: Person) -> None:
    approval = await office.approval([rosa, bo], needs="all")
    visitor, other_tab = await _visit(office, approval, rosa), await _visit(office, approval, rosa)
    await visitor.open()
    await other_tab.open()
    await visitor.send(choice="approve")
    page = await other_tab.send(409, choice="reject")
    assert TEXTS["es"]["fault_answered"] in page
    assert f"<h1>{TEXTS['es']['approval_approve']}</h1>" in page
    assert TEXTS["es"]["approval_pending_about"] in page
    assert not other_tab.has_form


async def test_decision_is_given_to_somebody_else(office: Office, rosa: Person, bo: Person) -> None:
    cy = await office.person("Cy", "marketing")
    await office.person("Gone", active=False)
    approval = await office.approval([rosa])
    visitor = await _visit(office, approval, rosa)
    page = await visitor.open()
    assert re.findall(r'<optgroup label="([^"]*)">|<option value="[^"]+">(\w+)<', page) == [
        (TEXTS["es"]["same_role"], ""),
        ("", "Bo"),
        (TEXTS["es"]["everybody_else"], ""),
        ("", "Cy"),
    ]
    page = await visitor.send(choice="delegate", to=cy.id, comment="I am away")
    assert f"<h1>{TEXTS['es']['approval_delegate'].format(name='Cy')}</h1>" in page
    assert not visitor.has_form

    delegate = await _visit(office, approval, cy)
    page = await delegate.open()
    assert "in place of Rosa" in page
    assert "I am away" in page
    page = await delegate.send(choice="reject")
    assert f"<h1>{TEXTS['en']['approval_reject']}</h1>" in page
    assert (await office.read(approval))["status"] == "rejected"


async def test_delegate_of_somebody_who_is_away_has_the_page(office: Office, rosa: Person, bo: Person) -> None:
    approval = await office.approval([bo])
    async with office.api.services.database.write() as session:
        row = await session.get_one(ApprovalRow, approval.id)
        request = await office.request(approval, bo)
        request.delegated_to = rosa.id
        await session.merge(request)
        await ask_person(session, row, rosa.id, role=None, reason="delegated")
    away = await _visit(office, approval, bo)
    page = await away.open()
    assert f"<h1>{TEXTS['en']['approval_delegate'].format(name='Rosa')}</h1>" in page
    assert "<span>Rosa answers in place of Bo</span>" in page
    assert not away.has_form


@pytest.mark.parametrize(
    ("fields", "status", "fault"),
    [
        ({}, 422, "fault_choice"),
        ({"choice": "done"}, 422, "fault_choice"),
        ({"choice": "approve", "comment": "x" * 2001}, 422, "fault_comment"),
        ({"choice": "approve", "comment": "a\0b"}, 422, "fault_comment"),
        ({"choice": "delegate"}, 422, "fault_person"),
        ({"choice": "delegate", "to": "x" * 50}, 422, "fault_person"),
        ({"choice": "delegate", "to": "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"}, 422, "fault_person"),
        ({"choice": "approve", "content_hash": "0" * 16}, 409, "fault_changed"),
        ({"choice": "approve", "content_hash": ""}, 409, "fault_changed"),
    ],
)
async def test_faulty_form_is_shown_again(
    office: Office, bo: Person, fields: dict[str, str], status: int, fault: str
) -> None:
    approval = await office.approval([bo])
    visitor = await _visit(office, approval, bo)
    await visitor.open()
    page = await visitor.send(status, **fields)
    assert f'<p class="notice fault" role="alert">{TEXTS["en"][fault]}</p>' in page
    assert visitor.has_form
    assert await office.answers() == []


@pytest.mark.parametrize(
    "body", [b"", b"\xff=%ff", b"choice=%ff", b"&".join([b"a=b"] * 50), b'{"choice": "approve"}', b"choice=approve"]
)
async def test_what_is_no_form_decides_nothing(office: Office, bo: Person, body: bytes) -> None:
    approval = await office.approval([bo])
    visitor = await _visit(office, approval, bo)
    visitor.answer = await office.api.http.post(visitor.path, content=body)
    visitor.shown(409 if body == b"choice=approve" else 422)
    assert (await office.read(approval))["status"] == "pending"


async def test_without_temporal_the_page_keeps_what_was_written(
    settings: Settings, office: Office, bo: Person, unused_port: Callable[[], int]
) -> None:
    approval = await office.approval([bo])
    visitor = await _visit(office, approval, bo)
    async with calling(settings, await client_of_nobody(unused_port())) as cut_off:
        away = Visitor(Office(cut_off, await client_of_nobody(unused_port())), visitor.path)
        await away.open()
        page = await away.send(503, choice="approve", comment="Fine <3")
        assert TEXTS["en"]["fault_not_told"] in page
        assert "\nFine <3</textarea>" in page
        assert away.answer.headers["retry-after"]
    visitor.answer = away.answer
    page = await visitor.send(choice="approve", comment="Fine <3")
    assert f"<h1>{TEXTS['en']['approval_approve']}</h1>" in page
    assert [row.status for row in await office.answers()] == ["taken"]


async def test_expired_approval_says_so_and_takes_nothing(office: Office, bo: Person) -> None:
    approval = await office.approval([bo])
    visitor = await _visit(office, approval, bo)
    await visitor.open()
    await office.expire(approval)
    page = await visitor.send(410, choice="approve")
    assert TEXTS["en"]["fault_not_pending"] in page
    page = await visitor.open(410)
    assert f"<h1>{TEXTS['en']['approval_expired']}</h1>" in page
    assert not visitor.has_form
    assert (await office.read(approval))["status"] == "expired"


async def test_changed_content_is_another_question(office: Office, bo: Person) -> None:
    approval = await office.approval([bo])
    visitor = await _visit(office, approval, bo)
    await visitor.open()
    facts: dict[str, Any] = {"discount_percent": 40}
    async with office.api.services.database.write() as session:
        newer = await open_approval(
            session,
            await session.get_one(EnrollmentRow, approval.enrollment_id),
            step=approval.step,
            subject=approval.subject,
            facts=facts,
            content_hash=content_hash(approval.subject, facts),
            stages=approval.stages,
        )
        await begin_stage(session, newer, 0, now() + timedelta(days=1))
        await ask_person(session, newer, bo.id, role="sales_manager", reason="asked")
    page = await visitor.send(410, choice="approve")
    assert f"<h1>{TEXTS['en']['approval_changed']}</h1>" in page
    (link,) = re.findall(r'<a href="([^"]+/answer/approval/[^"]+)">', page)
    assert "<dd>40</dd>" in await Visitor(office, link).open()


async def test_stage_that_is_over_has_no_form(office: Office, rosa: Person, bo: Person) -> None:
    approval = await office.approval([rosa, bo], [bo])
    visitor, late = await _visit(office, approval, rosa), await _visit(office, approval, bo)
    await visitor.open()
    await late.open()
    await visitor.send(choice="approve")
    await office.begin_stage(approval, 1, [bo])
    page = await late.send(409, choice="reject")
    assert f"<h1>{TEXTS['en']['approval_passed']}</h1>" in page
    assert not late.has_form
    assert (await office.read(approval))["status"] == "pending"


async def test_withdrawn_approval_says_so(office: Office, bo: Person) -> None:
    approval = await office.approval([bo])
    async with office.api.services.database.write() as session:
        await close_approval(session, await session.get_one(ApprovalRow, approval.id), "withdrawn")
    page = await (await _visit(office, approval, bo)).open(410)
    assert f"<h1>{TEXTS['en']['approval_withdrawn']}</h1>" in page


async def test_task_is_done_by_its_page(office: Office, rosa: Person, bo: Person) -> None:
    task = await office.task(rosa, bo, role="sales_manager")
    links = office.api.services.links
    visitor = Visitor(office, links.task_url(task.id, rosa.id))
    page = await visitor.open()
    for shown in (TEXTS["es"]["task_ask"], "Call them about the demo", "Ada Lovelace"):
        assert shown in page
    page = await visitor.send(choice="done", comment="Vuelve a llamar el lunes")
    assert f"<h1>{TEXTS['es']['task_done']}</h1>" in page
    other = Visitor(office, links.task_url(task.id, bo.id))
    page = await other.open()
    assert "Rosa did it" in page
    assert "Vuelve a llamar el lunes" in page
    await other.send(409, choice="done")


async def test_lead_is_taken_by_its_page_and_the_address_is_shown_then(office: Office, rosa: Person) -> None:
    offer = await office.offer(rosa)
    email = (await office.contact(offer)).email
    visitor = Visitor(office, office.api.services.links.lead_url(offer.id, rosa.id))
    page = await visitor.open()
    assert f"<h1>{TEXTS['es']['lead_ask']}</h1>" in page
    assert "Ada Lovelace" in page
    assert email not in page
    told = re.compile(r"<span>(.*)</span>")
    assert told.findall(page) == ["Se ofreció"]
    page = await visitor.send(choice="accept")
    assert f"<h1>{TEXTS['es']['lead_accept']}</h1>" in page
    assert told.findall(page) == ["Se ofreció", "Rosa aceptó"]
    assert email in page


async def test_lead_is_declined_by_its_page(office: Office, bo: Person) -> None:
    offer = await office.offer(bo)
    visitor = Visitor(office, office.api.services.links.lead_url(offer.id, bo.id))
    await visitor.open()
    page = await visitor.send(choice="decline", comment="No time")
    assert f"<h1>{TEXTS['en']['lead_decline']}</h1>" in page
    assert "Bo declined" in page


async def test_lead_that_went_on_says_so(office: Office, bo: Person) -> None:
    offer = await office.offer(bo)
    async with office.api.services.database.write() as session:
        row = await session.get_one(AssignmentRow, offer.id)
        row.status, row.closed_at = "lapsed", now()
        session.add(row)
    visitor = Visitor(office, office.api.services.links.lead_url(offer.id, bo.id))
    assert f"<h1>{TEXTS['en']['lead_lapsed']}</h1>" in await visitor.open(410)
    await visitor.send(410, choice="accept")


REASONS = (
    {
        "rule": "north",
        "verdict": "not_matched",
        "mismatches": [
            {"what": "country", "value": "CL", "among": ["MX", "GT"]},
            {"what": "language", "value": "es", "among": ["en"]},
            {"what": "score", "least": 10, "most": 20},
        ],
        "detail": "country is CL, the rule wants MX, GT; score is not known, the rule wants it from 10 to 20",
    },
    {"rule": "andes", "verdict": "matched", "detail": "is for team andes"},
)


async def test_manager_gives_a_lead_of_the_queue_by_hand(office: Office, rosa: Person, bo: Person) -> None:
    busy = {"rule": "andes", "verdict": "passed_over", "person": bo.id, "because": "capacity", "detail": "20 of 20"}
    away = {**busy, "person": rosa.id, "because": "absent", "until": "2026-12-01T12:00:00Z", "detail": "is absent"}
    queued = await office.queued(*REASONS, busy, away)
    cy = await office.person("Cy")
    visitor = Visitor(office, office.api.services.links.manager_url(queued.id, rosa.id))
    page = await visitor.open()
    for shown in (TEXTS["es"]["queue_ask"], TEXTS["es"]["why_capacity"], "1 dic 2026, 09:00"):
        assert shown in page
    assert "País: Chile (la regla pide México, Guatemala)" in page
    assert "Idioma: español (la regla pide inglés)" in page
    assert "Puntaje: no se sabe (la regla pide desde 10 hasta 20)" in page
    assert re.findall(r'<optgroup label="([^"]*)">', page) == [
        TEXTS["es"]["by_rules"],
        TEXTS["es"]["everybody_else"],
    ]
    page = await visitor.send(422, to="")
    assert TEXTS["es"]["fault_person"] in page
    page = await visitor.send(to=cy.id)
    assert f"<h1>{TEXTS['es']['queue_drained'].format(name='Cy')}</h1>" in page
    listed = (await office.api.get("/v1/assignments", person_id=cy.id)).json()["items"]
    assert [(item["status"], item["number"]) for item in listed] == [("accepted", 2)]
    given = Visitor(office, office.api.services.links.lead_url(listed[0]["id"], cy.id))
    page = await given.open()
    assert f"<h1>{TEXTS['en']['lead_accept']}</h1>" in page
    assert re.findall(r"<span>(.*)</span>", page) == ["Rosa gave it by hand"]
    await visitor.send(409, to=bo.id)


async def test_link_of_somebody_who_is_no_manager_any_more_gives_no_lead(office: Office, bo: Person) -> None:
    queued = await office.queued()
    url = office.api.services.links.manager_url(queued.id, bo.id)
    await Visitor(office, url).open()
    await office.api.http.patch(f"/v1/people/{bo.id}", json={"roles": ["sales"]})
    path = url.removeprefix(ORIGIN)
    for answer in (await office.api.get(path), await office.api.http.post(path, data={"to": bo.id})):
        assert answer.status_code == 403
        assert TEXTS["en"]["link_not_manager"] in answer.text
    assert [item["id"] for item in (await office.api.get("/v1/lead-queue")).json()["items"]] == [queued.id]


@pytest.mark.parametrize("token", ["nonsense", "%00", "a.b.c", "x" * 5000, "%F0%9F%92%A9"])
async def test_link_that_we_did_not_sign_is_a_page_that_helps(api: Caller, token: str) -> None:
    for kind in ("approval", "task", "lead", "queue", "else"):
        path = f"/answer/{kind}/{token}"
        for answer in (await api.get(path), await api.http.post(path, data={"choice": "approve"})):
            assert answer.status_code == 404
            assert TEXTS["en"]["link_bad"] in answer.text


async def test_link_to_one_page_is_none_to_another(office: Office, bo: Person) -> None:
    approval, task, offer = await office.approval([bo]), await office.task(bo), await office.offer(bo)
    queued = await office.queued()
    links = office.api.services.links
    urls = {
        "approval": links.approval_url((await office.request(approval, bo)).id),
        "task": links.task_url(task.id, bo.id),
        "lead": links.lead_url(offer.id, bo.id),
        "queue": links.manager_url(queued.id, bo.id),
    }
    for kind, url in urls.items():
        for other in urls:
            path = f"/answer/{other}/{url.rpartition('/')[2]}"
            assert (await office.api.get(path)).status_code == (200 if kind == other else 404), (kind, other)
    # Signed by us, and of what is not there any more, or was never theirs.
    for url in (links.approval_url(task.id), links.task_url(bo.id, bo.id), links.task_url(task.id, task.id)):
        await Visitor(office, url).open(404)
    for url in (links.lead_url(queued.id, bo.id), links.manager_url(offer.id, bo.id)):
        await Visitor(office, url).open(404)


async def test_link_that_is_too_old_says_so(office: Office, bo: Person, settings: Settings) -> None:
    task = await office.task(bo)
    path = office.api.services.links.task_url(task.id, bo.id).removeprefix(ORIGIN)
    links = Links(ORIGIN, settings.secret_keys(), answerable_for=timedelta(seconds=-1))
    office.api.app.state.services = replace(office.api.services, links=links)
    for answer in (await office.api.get(path), await office.api.http.post(path, data={"choice": "done"})):
        assert answer.status_code == 410
        assert TEXTS["en"]["link_expired"] in answer.text
    assert await office.answers() == []


async def test_link_of_somebody_who_left_answers_nothing(office: Office, bo: Person) -> None:
    task = await office.task(bo)
    path = office.api.services.links.task_url(task.id, bo.id).removeprefix(ORIGIN)
    await office.api.http.patch(f"/v1/people/{bo.id}", json={"active": False})
    for answer in (await office.api.get(path), await office.api.http.post(path, data={"choice": "done"})):
        assert answer.status_code == 403
        assert TEXTS["en"]["link_inactive"] in answer.text
    assert await office.answers() == []


async def test_links_in_emails_lead_flows_on(api_with_worker: Caller) -> None:
    """A manager grants an offer; a rep takes a lead and calls it: nobody but the flows wrote to them."""
    api = api_with_worker
    office = Office(api, api.services.client)
    round_the_clock = {day.value: [{"begins": "00:00", "ends": "23:59:59"}] for day in Weekday}
    await office.person("Boss", "sales_manager")
    await office.person("Rep", "sales", working_hours=round_the_clock)

    async def linked(name: str, kind: str) -> Visitor:
        found: list[str] = []

        def has_come() -> bool:
            for message in api.services.outbox.page(50):
                read = api.services.outbox.read(message.message_id) if name in message.to else None
                found.extend(re.findall(rf"/answer/{kind}/[\w.-]+", read.text if read else ""))
            return bool(found)

        await until(has_come)
        return Visitor(office, found[0])

    rich = {**ADA, "attributes": {"lifetime_value_cents": 900_000}}
    customer = await api.enroll("reactivation", contact=rich, settings={"offer_after": "PT0S"})
    visitor = await linked("Boss", "approval")
    await visitor.open()
    assert TEXTS["en"]["approval_approve"] in await visitor.send(choice="approve", comment="Worth it")

    async def offer_is_out() -> bool:
        sent = (await api.get("/v1/messages", enrollment_id=customer["id"])).json()["items"]
        return "offer" in [message["step"] for message in sent]

    await until(offer_is_out)
    await api.enroll("lead_assignment", contact={**ADA, "email": "lead@example.com"})
    visitor = await linked("Rep", "lead")
    await visitor.open()
    assert "lead@example.com" in await visitor.send(choice="accept")
    visitor = await linked("Rep", "task")
    await visitor.open()
    assert TEXTS["en"]["task_done"] in await visitor.send(choice="done")
    assert [row.status for row in await office.answers()] == ["taken"] * 3
