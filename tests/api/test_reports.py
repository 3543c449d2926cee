"""What came of a flow, as the API tells it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from api.report_view import FlowReport
from cli import flows_report
from cli.failures import CommandFailed
from domain.flows import Exit
from domain.messages import MessageStatus
from domain.reports import wilson
from runtime.recall import recall
from runtime.settings import Settings
from store.ledger_tables import MessageRow
from store.tables import EnrollmentRow, day_of, month_of, now
from tests.api.caller import Caller, assert_problem, fields_at_fault, served
from tests.api.databases import on_both_databases
from tests.waiting import until
from workflows.builds import build_id
from workflows.onboarding import Onboarding

REPORT = "/v1/flows/onboarding/report"
OLD, NEW = "0123456789ab", "ba9876543210"
DAY = timedelta(days=1)


async def lived(api: Caller, entered: datetime, exit_: Exit | None, after: timedelta = DAY, **more: Any) -> None:
    """A contact who entered onboarding, got its welcome and left by this exit; None: they are in it."""
    contact = await api.contact(email=f"contact-{entered.timestamp()}-{exit_}@example.com")
    ended: dict[str, Any] = {"status": "ended", "exit": exit_, "ended_at": entered + after, "last_step": "hand"}
    row = EnrollmentRow(
        flow="onboarding", contact_id=contact["id"], created_at=entered, **(ended if exit_ else {}), **more
    )
    welcome = MessageRow(
        flow="onboarding",
        enrollment_id=row.id,
        contact_id=contact["id"],
        step="welcome",
        message="welcome",
        status=MessageStatus.DELIVERED if exit_ else MessageStatus.DEFERRED,
        reason=None if exit_ else "quiet hours",
        opened=exit_ is Exit.GOAL,
        machine_clicked=exit_ is Exit.COMPLETED,
        entered_on=day_of(entered),
        month=month_of(entered),
        build=row.build,
        created_at=entered,
    )
    async with api.services.database.write() as session:
        session.add(row)
        await session.flush()
        session.add(welcome)


@on_both_databases
async def test_a_report_tells_what_came_of_who_entered(api_without_temporal: Caller) -> None:
    api = api_without_temporal
    entered = datetime(2026, 3, 1, 12, tzinfo=UTC)
    await lived(api, entered, Exit.GOAL, 2 * DAY, build=OLD)
    await lived(api, entered + DAY, Exit.GOAL, 40 * DAY, build=NEW)  # the goal is to be reached within 14 days
    await lived(api, entered + 2 * DAY, Exit.COMPLETED, build=NEW)
    await lived(api, now(), None)
    report = (await api.get(REPORT)).json()
    assert (report["flow"], report["from"], report["to"], report["version"]) == ("onboarding", None, None, None)
    assert (report["enrolled"], report["active"], report["held"]) == (4, 1, 0)
    assert report["exits"] == [
        {"exit": "goal", "count": 2, "steps": {"hand": 2}},
        {"exit": "completed", "count": 1, "steps": {"hand": 1}},
    ]
    goal = report["goal"]
    assert (goal["event"], goal["target"], goal["within"]) == ("activated", 0.4, "P14D")
    assert (goal["reached"], goal["late"], goal["open"], goal["rate"]) == (1, 1, 1, 0.25)
    assert (round(goal["low"], 4), round(goal["high"], 4), round(goal["high_with_open"], 2)) == (0.0456, 0.6994, 0.85)
    assert goal["verdict"] == "not yet told apart from the target"
    assert goal["time_to_goal"] == {"count": 2, "median": "P2D", "p90": "P40D"}
    (welcome,) = report["steps"]
    assert (welcome["step"], welcome["reached"], welcome["delivered"], welcome["deferred"]) == ("welcome", 4, 3, 1)
    assert (welcome["opened"], welcome["clicked"]) == (
        {"people": 2, "machines_only": 1},
        {"people": 0, "machines_only": 1},
    )
    assert welcome["reasons"] == [{"status": "deferred", "reason": "quiet hours", "count": 1}]
    assert report["messages"]["reached"] == 4
    assert [(each["version"], each["enrolled"], each["goal"]) for each in report["versions"]] == [
        (NEW, 2, 1),
        (OLD, 1, 1),
        (None, 1, 0),
    ]
    in_march = (await api.get(REPORT, **{"from": "2026-03-01", "to": "2026-03-03", "version": NEW})).json()
    assert (in_march["from"], in_march["to"], in_march["version"]) == ("2026-03-01", "2026-03-03", NEW)
    assert (in_march["enrolled"], in_march["messages"]["reached"]) == (1, 1)


async def test_the_command_shows_the_report_in_a_few_lines(
    api_without_temporal: Caller, unused_port: Callable[[], int]
) -> None:
    api = api_without_temporal
    entered = datetime(2026, 3, 1, 12, tzinfo=UTC)
    await lived(api, entered, Exit.COMPLETED)
    await lived(api, entered, Exit.GOAL)
    async with served(api, unused_port()) as url:
        settings = Settings.model_validate({"api_url": url})
        before = await flows_report.report(settings, "onboarding", to="2026-03-01", version=None)
        with pytest.raises(CommandFailed, match=r"422.*query\.to"):
            await flows_report.report(settings, "onboarding", to="tomorrow")
        console = Console(width=200, record=True, file=StringIO())
        console.print(before, await flows_report.report(settings, "onboarding"))
    nobody, nothing, enrolled, goal, _, head, _, welcome, *_ = console.export_text().splitlines()
    assert nobody == "onboarding: 0 enrolled, 0 active, 0 held"
    assert nothing == "activated: nobody yet, target 40.0%: not yet told apart from the target"
    assert enrolled == "onboarding: 2 enrolled, 0 active, 0 held; left: completed 1, goal 1"
    assert goal == "activated: 50.0% (9.5% to 90.5%), target 40.0%: not yet told apart from the target"
    assert head.split()[:6] == ["step", "reached", "sent", "delivered", "opened", "clicked"]
    assert " ".join(welcome.split()) == "welcome 2 2 2 1 (+1 by machines) 0 (+1 by machines) 0 0 0 0"


def test_the_example_of_the_description_is_a_report() -> None:
    (example,) = [FlowReport.model_json_schema()["example"]]
    report = FlowReport.model_validate(example)
    assert report.model_dump(mode="json", by_alias=True) == example
    rate = report.goal
    assert (rate.low, rate.high) == pytest.approx(wilson(rate.reached, report.enrolled), abs=5e-5)
    assert rate.high_with_open == pytest.approx(wilson(rate.reached + rate.open, report.enrolled)[1], abs=5e-5)
    assert report.enrolled == report.active + sum(each.count for each in report.exits)


async def test_of_a_flow_that_nobody_entered_nothing_is_known(api_without_temporal: Caller) -> None:
    report = (await api_without_temporal.get(REPORT)).json()
    assert (report["enrolled"], report["active"], report["held"], report["exits"]) == (0, 0, 0, [])
    assert (report["goal"]["rate"], report["goal"]["low"], report["goal"]["high"]) == (None, 0, 1)
    assert report["goal"]["time_to_goal"] == {"count": 0, "median": None, "p90": None}
    assert report["goal"]["verdict"] == "not yet told apart from the target"
    assert (report["steps"], report["questions"], report["versions"]) == ([], [], [])
    assert report["messages"]["reached"] == 0


async def test_a_held_flow_holds_all_who_are_in_it(api_without_temporal: Caller) -> None:
    api = api_without_temporal
    await api.enroll()
    assert (await api.get(REPORT)).json()["held"] == 0
    assert (await api.post("/v1/flows/onboarding/hold")).status_code == 202
    report = (await api.get(REPORT)).json()
    assert (report["active"], report["held"]) == (1, 1)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ({"from": "2026-03-02", "to": "2026-03-02"}, ["query"]),
        ({"from": "2026-03-02", "to": "2026-03-01"}, ["query"]),
        ({"from": "yesterday"}, ["query.from"]),
        ({"to": "1999-01-01"}, ["query.to"]),
        ({"from": "2026-03-02T00:00:00Z"}, ["query.from"]),
        ({"version": "latest"}, ["query.version"]),
        ({"since": "2026-03-02"}, ["query.since"]),
    ],
)
async def test_what_is_no_time_or_version_is_named(
    api_without_temporal: Caller, query: dict[str, str], fields: list[str]
) -> None:
    problem = assert_problem(await api_without_temporal.get(REPORT, **query), 422, "invalid-request")
    assert fields_at_fault(problem) == fields


async def test_an_unknown_flow_has_no_report(api_without_temporal: Caller) -> None:
    assert_problem(await api_without_temporal.get("/v1/flows/nope/report"), 404, "not-found")


async def test_contacts_count_for_the_build_that_they_began_on(api_with_worker: Caller) -> None:
    api = api_with_worker
    enrollment = await api.enroll()
    version = build_id(Onboarding)

    async def report_on(**query: str) -> Any:
        return (await api.get(REPORT, **query)).json()

    async def welcome_is_sent() -> bool:
        return bool((await report_on(version=version))["messages"]["sent"])

    await until(welcome_is_sent)
    report = await report_on(version=version)
    assert (report["enrolled"], report["active"]) == (1, 1)
    assert [(step["step"], step["sent"]) for step in report["steps"]] == [("welcome", 1)]
    assert report["versions"] == [{"version": version, "enrolled": 1, "goal": 0}]
    assert (await report_on(version="0" * 12))["enrolled"] == 0
    entered = enrollment["created_at"][:10]
    assert (await report_on(to=entered))["messages"]["reached"] == 0
    assert (await report_on(**{"from": entered}))["messages"]["reached"] == 1

    # A run that takes the place of this one would know it too; and this one tells it again in the end.
    run = api.services.client.get_workflow_handle(enrollment["workflow_id"])
    assert (await recall(await run.fetch_history(), {})).memory.build == version
    async with api.services.database.write() as session:
        (await session.get_one(EnrollmentRow, enrollment["id"])).build = None
    assert (await api.post(f"/v1/enrollments/{enrollment['id']}/cancel")).is_success

    async def has_left() -> bool:
        return bool((await report_on())["exits"])

    await until(has_left)
    assert [each["exit"] for each in (await report_on(version=version))["exits"]] == ["cancelled"]
