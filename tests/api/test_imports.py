"""Contacts from a file: what becomes of its lines, and of an upload that breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from sqlmodel import select

from api.importing import BATCH
from api.routers.imports import FAULTS_IN_REPORT, MAX_FILE_BYTES
from domain.consent import CONTACT, ConsentState, Word
from runtime.settings import Settings
from store import imports
from store.consents import record_words
from store.list_tables import ImportedContactRow
from store.tables import ContactRow, new_id
from tests.api.caller import Caller, assert_problem, fields_at_fault, served
from tests.api.databases import on_both_databases
from tests.waiting import until

PATH = "/v1/contacts/import"
CSV = {"Content-Type": "text/csv"}


async def send(api: Caller, text: str, key: str | None = None, **query: Any) -> httpx.Response:
    headers = CSV | ({"Idempotency-Key": key} if key else {})
    return await api.http.post(PATH, content=text.encode(), params=query, headers=headers)


async def imported(api: Caller, text: str, key: str | None = None, **query: Any) -> dict[str, Any]:
    answer = await send(api, text, key, **query)
    assert answer.is_success, answer.text
    report: dict[str, Any] = answer.json()
    return report


def counts(report: dict[str, Any]) -> tuple[int, int, int, int]:
    return report["created"], report["updated"], report["unchanged"], report["bad"]


async def stored(api: Caller) -> dict[str, ContactRow]:
    return {row.email: row for row in await api.contacts()}


def lines(rows: int, name: str = "Ada") -> str:
    return "email,first_name\n" + "".join(f"c{number:05}@example.com,{name}\n" for number in range(rows))


@on_both_databases
async def test_contacts_are_created_and_updated_where_the_file_says_so(api: Caller) -> None:
    ada = await api.contact(attributes={"plan": "team"})
    file = (
        "E-mail;First name;Plan;Seats;Phone;Notes\r\n"
        "Ada@example.com;;pro;12;+56912345678;x\r\n"
        'bo@example.com;"Bo; Ek";;;;"y\nz"\r\n'
        "ada@example.com;;;13;;\r\n"
        "bo@example.com;;;;;\r\n"
    )
    mapping = ["E-mail:email", "Plan:attributes.plan", "Seats:attributes.seats", "Phone:attributes.phone"]
    answer = await send(api, f"\ufeff{file}", column=[*mapping, "Notes:ignore"], name="fair")
    assert answer.status_code == 201
    report = answer.json()
    assert counts(report) == (1, 2, 1, 0)
    assert (report["status"], report["lines"], report["bytes_done"]) == ("finished", 6, len(file.encode()) + 3)
    assert (report["name"], report["dry_run"], report["faults"], report["more_faults"]) == ("fair", False, [], None)
    assert report["columns"][2] == {"name": "Plan", "becomes": "attributes.plan"}
    assert answer.headers["location"] == f"/v1/contacts/imports/{report['id']}"
    assert (await api.get(answer.headers["location"])).json() == report
    contacts = await stored(api)
    assert contacts["ada@example.com"].first_name == "Ada"
    assert contacts["ada@example.com"].attributes == {"plan": "pro", "seats": 13, "phone": "+56912345678"}
    assert contacts["bo@example.com"].first_name == "Bo; Ek"
    async with api.services.database.read() as session:
        members = set(await session.exec(select(ImportedContactRow.contact_id)))
    assert members == {ada["id"], contacts["bo@example.com"].id}


async def test_bad_lines_are_told_by_line_and_column_and_the_others_are_imported(api: Caller) -> None:
    file = (
        "email,country,consent.offers\nada@example.com,CL,yes\nsecret.person,Chilesecret,secretly\n"
        'bo@example.com\n"secret" x,CL,no\ncarl@example.com,PE,\n'
    )
    report = await imported(api, file)
    assert counts(report) == (2, 0, 0, 3)
    assert [(fault["line"], fault["column"]) for fault in report["faults"]] == [
        (3, "email"),
        (3, "country"),
        (3, "consent.offers"),
        (4, None),
        (5, None),
    ]
    assert report["faults"][1]["message"] == ("is not valid: expected two capital letters of ISO 3166-1, such as CL")
    assert "secret" not in str(report["faults"]), "what a line says is not kept"
    assert sorted(await stored(api)) == ["ada@example.com", "carl@example.com"]


async def test_the_report_has_the_first_faults_and_says_where_the_others_are(api: Caller) -> None:
    bad = FAULTS_IN_REPORT + 30
    report = await imported(api, "email\n" + "x\n" * bad)
    assert (report["bad"], len(report["faults"])) == (bad, FAULTS_IN_REPORT)
    rest = (await api.get(report["more_faults"])).json()
    assert [fault["line"] for fault in (*report["faults"], *rest["items"])] == list(range(2, bad + 2))
    assert rest["next_cursor"] is None
    page = (await api.get(f"/v1/contacts/imports/{report['id']}/faults", limit=7)).json()
    assert (len(page["items"]), page["next_cursor"]) == (7, "8-1")


@on_both_databases
async def test_a_dry_run_says_the_same_and_changes_no_contact(api: Caller) -> None:
    await api.contact()
    before = await stored(api)
    file = "email,first_name,consent.offers\nada@example.com,Augusta,\nada@example.com,,yes\nbo@example.com,,no\nx,,\n"
    dry = await imported(api, file, dry_run="true")
    assert await stored(api) == before
    assert (await api.get("/v1/contacts", email="ada@example.com")).json()["consent"] == {"product-news": "granted"}
    real = await imported(api, file)
    assert counts(dry) == counts(real) == (1, 1, 1, 1)
    assert dry["faults"] == real["faults"]
    assert dry["dry_run"]


async def test_who_only_agrees_to_something_new_is_updated(api: Caller) -> None:
    file = "email,consent.offers\nada@example.com,yes\n"
    assert counts(await imported(api, "email\nada@example.com\n")) == (1, 0, 0, 0)
    assert counts(await imported(api, file, dry_run="true")) == (0, 1, 0, 0)
    assert counts(await imported(api, file)) == (0, 1, 0, 0)
    assert counts(await imported(api, file)) == (0, 0, 1, 0)


@on_both_databases
async def test_consent_is_recorded_with_its_source_and_the_text_that_was_agreed_to(api: Caller) -> None:
    file = "email,consent.offers,consent.newsletter\nada@example.com,sí,no\nbo@example.com,,\n"
    await imported(api, file, consent_source="fair 2026", consent_wording="2019-05")
    ada = (await stored(api))["ada@example.com"]
    words = (await api.get(f"/v1/contacts/{ada.id}/consent")).json()["items"]
    assert {(word["topic"], word["state"], word["source"], word["wording"], word["recorded_by"]) for word in words} == {
        ("offers", "granted", "fair 2026", "2019-05", "api"),
        ("newsletter", "withdrawn", "fair 2026", None, "api"),
    }
    await imported(api, "email,consent.offers\ncarl@example.com,yes\n")
    carl = (await stored(api))["carl@example.com"]
    (word,) = (await api.get(f"/v1/contacts/{carl.id}/consent")).json()["items"]
    offers = api.services.topics["offers"]
    assert (word["source"], word["wording"], word["purpose"]) == ("import", offers.wording, offers.purpose)


async def test_who_left_a_topic_themselves_is_not_brought_back_by_an_old_file(api: Caller) -> None:
    ada = await api.contact(consent={"offers": True})
    async with api.services.database.write() as session:
        await record_words(session, ada["id"], [Word("offers", ConsentState.WITHDRAWN, "preferences", CONTACT)])
    assert counts(await imported(api, "email,consent.offers\nada@example.com,yes\n")) == (0, 0, 1, 0)
    assert (await api.get("/v1/contacts", email="ada@example.com")).json()["consent"]["offers"] == "withdrawn"


class TestUnderDoubleOptIn:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"double_opt_in": True})

    @on_both_databases
    async def test_contacts_are_asked_to_confirm_once_and_not_if_they_have(self, api: Caller) -> None:
        file = "email,consent.offers\nada@example.com,yes\nbo@example.com,no\ncarl@example.com,yes\n"
        await imported(api, file)
        await imported(api, file)
        asked = await api.enrollments()
        contacts = await stored(api)
        assert {(row.flow, row.contact_id) for row in asked} == {
            ("confirmation", contacts[f"{name}@example.com"].id) for name in ("ada", "carl")
        }
        assert len(asked) == 2
        assert {row.started_at for row in asked} == {None}, "the sweep starts them, in its turns"
        ada = (await api.get("/v1/contacts", email="ada@example.com")).json()
        assert ada["consent"] == {"offers": "requested"}
        await imported(api, "email,consent.offers\nada@example.com,yes\ndora@example.com,yes\n", consent_confirmed=True)
        assert [event.name for event in await api.events()] == ["subscription_confirmed"]
        await imported(api, "email,consent.offers\ncarl@example.com,no\n")
        assert [row.cancel_requested_at is not None for row in await api.enrollments()].count(True) == 1
        assert len(await api.enrollments()) == 2


TOO_LITTLE: list[tuple[str, dict[str, Any], str, str]] = [
    ("", {}, "body.header", "the file is empty"),
    ("\n\n", {}, "body.header", "the file is empty"),
    ("ada@example.com,Ada\n", {}, "body.header", "no column is email"),
    ("email,Plan\n", {}, "body.header", "column 2 (“Plan”) is not known"),
    ("email,consent.gossip\n", {}, "body.header", "there are newsletter, product-news, offers"),
    ("email,Email\n", {}, "body.header", "2 columns become email"),
    ("email\n", {"column": "Plan:attributes.plan"}, "query.column.0", "no column of this name"),
    ("email\n", {"column": "email:mail"}, "query.column.0", "expected email, first_name"),
    ("email\n", {"column": "email"}, "query.column.0", "a colon"),
    ("email\n", {"column": ["x:ignore", "X:ignore"]}, "query.column", "twice"),
    ("email\n", {"consent_source": ""}, "query.consent_source", "at least 1"),
    ("email\n", {"unmaped": "ignore"}, "query.unmaped", "not known"),
]


async def test_a_file_whose_first_line_says_too_little_is_refused_as_a_whole(api: Caller) -> None:
    for file, query, field, told in TOO_LITTLE:
        problem = assert_problem(await send(api, file, **query), 422, "invalid-request")
        assert fields_at_fault(problem) == [field]
        assert told in problem["errors"][0]["message"]
        assert "ada" not in str(problem)
    assert (await api.get("/v1/contacts/imports")).json()["items"] == []


async def test_columns_that_nobody_asked_for_are_ignored_if_that_is_said(api: Caller) -> None:
    report = await imported(api, "email\tPlan\tattributes.seats\nada@example.com\tx\t3\n", unmapped="ignore")
    assert [column["becomes"] for column in report["columns"]] == ["email", "ignore", "attributes.seats"]
    assert (await stored(api))["ada@example.com"].attributes == {"seats": 3}


async def test_body_of_another_type_is_refused(api: Caller) -> None:
    for content_type in ("application/json", "text/plain", "text/csv; charset=latin-1", ""):
        answer = await api.http.post(PATH, content=b"email\n", headers={"Content-Type": content_type})
        assert_problem(answer, 415, "unsupported-media-type")


async def test_file_that_is_too_large_is_refused_before_it_is_read(api: Caller) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        yield b""

    headers = CSV | {"Content-Length": str(MAX_FILE_BYTES + 1)}
    assert_problem(await api.http.post(PATH, content=nothing(), headers=headers), 413)


async def test_a_file_above_the_limit_of_other_bodies_is_imported_as_it_comes(api: Caller) -> None:
    notes = "x" * 9_000

    async def file() -> AsyncIterator[bytes]:
        yield b"email,notes\n"
        for number in range(200):
            yield f"c{number % 3}@example.com,{notes}\n".encode()

    answer = await api.http.post(PATH, params={"column": "notes:ignore"}, content=file(), headers=CSV)
    assert answer.json()["bytes_done"] > 1_000_000
    assert counts(answer.json()) == (3, 0, 197, 0)


async def test_a_finished_file_that_comes_again_gets_its_report_and_changes_nothing(api: Caller) -> None:
    first = await send(api, lines(3), "fair-1", name="first")
    await api.contact(email="c00001@example.com", first_name="Grace")
    again = await send(api, lines(3), "fair-1", name="second")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert (await stored(api))["c00001@example.com"].first_name == "Grace"
    assert counts(await imported(api, lines(3), "fair-2")) == (0, 1, 2, 0)


async def test_another_file_or_other_options_under_the_same_key_are_refused(api: Caller) -> None:
    await imported(api, lines(3), "fair-1")
    before = await stored(api)
    for text in (lines(3, "Bo"), lines(4), lines(2), ""):
        assert_problem(await send(api, text, "fair-1"), 422, "idempotency-key-reused")
    for query in ({"dry_run": "true"}, {"consent_source": "fair"}, {"column": "first_name:last_name"}):
        assert_problem(await send(api, lines(3), "fair-1", **query), 422, "idempotency-key-reused")
    assert await stored(api) == before


@on_both_databases
async def test_an_upload_that_breaks_off_goes_on_where_it_was_and_nothing_is_lost_or_done_twice(
    api: Caller, unused_port: Callable[[], int]
) -> None:
    rows = 3 * BATCH + 20
    # A bad line in each batch: what is reported of it has to be there once, too.
    file = "".join(
        "nobody,x\n" if number % BATCH == 7 else line
        for number, line in enumerate(lines(rows).splitlines(keepends=True))
    ).encode()
    headers = CSV | {"Idempotency-Key": "fair-1"}
    port = unused_port()
    go_on = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield file[: len(file) // 2]
        await go_on.wait()

    async with served(api, port) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:

        async def progress() -> dict[str, Any]:
            (known,) = (await http.get("/v1/contacts/imports?idempotency_key=fair-1")).json()["items"] or [{}]
            return dict(known)

        async def is_half_done() -> bool:
            return int((await progress()).get("created", 0)) >= BATCH - 1

        sending = asyncio.create_task(http.post(PATH, content=pieces(), headers=headers))
        await until(is_half_done)
        assert (await progress())["status"] == "running"
        second = await http.post(PATH, content=file, headers=headers)
        problem = assert_problem(second, 409, "import-under-way")
        assert (await progress())["id"] in problem["detail"]

        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending

        async def is_interrupted() -> bool:
            return str((await progress())["status"]) == "interrupted"

        await until(is_interrupted)
        half = await progress()
        assert 0 < half["bytes_done"] < len(file)

        other = file.replace(b"c00003@", b"c99999@")
        assert_problem(await http.post(PATH, content=other, headers=headers), 422, "idempotency-key-reused")
        before = await stored(api)
        answer = await http.post(PATH, content=file, headers=headers)
    assert answer.status_code == 201, answer.text
    report = answer.json()
    assert report["id"] == half["id"]
    assert counts(report) == (rows - 4, 0, 0, 4), "a batch that was done is skipped, not done again"
    assert [fault["line"] for fault in report["faults"]] == [8 + at * BATCH for at in range(4)]
    assert (report["lines"], report["bytes_done"]) == (rows + 1, len(file))
    after = await stored(api)
    assert len(after) == rows - 4
    assert {email: after[email] for email in before} == before
    async with api.services.database.read() as session:
        assert len(list(await session.exec(select(ImportedContactRow)))) == rows - 4


async def test_an_upload_whose_process_was_killed_is_taken_over_and_has_no_more_say(api: Caller) -> None:
    """It is as if its process hung: its claim is over, and it comes back after another upload has finished."""
    go_on = asyncio.Event()

    async def hanging() -> AsyncIterator[bytes]:
        yield lines(BATCH).encode()
        await go_on.wait()
        yield b"late@example.com,Late\n"

    async def claims() -> list[str | None]:
        async with api.services.database.read() as session:
            return [row.claim for row in await imports.page_of_imports(session, limit=1)]

    headers = CSV | {"Idempotency-Key": "fair-1"}
    hung = asyncio.create_task(api.http.post(PATH, content=hanging(), headers=headers))

    async def has_begun() -> bool:
        return len(await stored(api)) == BATCH

    await until(has_begun)
    async with api.services.database.write() as session:
        (row,) = await imports.page_of_imports(session, limit=1)
        row.claimed_until = row.created_at
        session.add(row)
    whole = lines(BATCH) + "late@example.com,Late\n"
    assert counts(await imported(api, whole, "fair-1")) == (BATCH + 1, 0, 0, 0)
    go_on.set()
    assert_problem(await hung, 409, "import-under-way")
    assert await claims() == [None]
    (known,) = (await api.get("/v1/contacts/imports")).json()["items"]
    assert (counts(known), known["status"]) == ((BATCH + 1, 0, 0, 0), "finished")


async def test_two_uploads_that_begin_with_one_key_at_once_are_one_import(api: Caller) -> None:
    answers = await asyncio.gather(*(send(api, lines(2 * BATCH), "fair-1") for _ in range(3)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] in (200, 201)
    assert statuses.count(201) == 1
    assert set(statuses) <= {200, 201, 409}
    assert len((await api.get("/v1/contacts/imports")).json()["items"]) == 1
    assert len(await stored(api)) == 2 * BATCH


async def test_imports_are_listed_newest_first(api: Caller) -> None:
    ids = [(await imported(api, "email\n", name=f"file {at}"))["id"] for at in range(3)]
    page = (await api.get("/v1/contacts/imports", limit=2)).json()
    rest = (await api.get("/v1/contacts/imports", cursor=page["next_cursor"])).json()
    assert [each["id"] for each in (*page["items"], *rest["items"])] == ids[::-1]
    assert rest["next_cursor"] is None


async def test_an_import_that_is_not_there_is_told(api: Caller) -> None:
    for path in ("", "/faults"):
        assert_problem(await api.get(f"/v1/contacts/imports/{new_id()}{path}"), 404, "not-found")
    assert_problem(await api.get("/v1/contacts/imports/x"), 422)


async def test_a_method_that_imports_do_not_take_is_told_with_those_that_they_do(api: Caller) -> None:
    for method, path, taken in (("GET", PATH, "POST"), ("DELETE", PATH, "POST"), ("DELETE", f"{PATH}s", "GET")):
        answer = await api.http.request(method, path)
        assert_problem(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == taken
