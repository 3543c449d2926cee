"""What a bulk enrollment lives through, under skipped time."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import (
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowHistory,
    WorkflowUpdateFailedError,
)
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from domain.bulk_enrollments import Gate, GateApproval, GateDecision, JobStatus, Pilot, Stage, Standing
from domain.flows import Exit
from runtime.bulk_enrolling import DecisionRefused, tell_bulk_enrollment, tell_decision
from store import holds
from store.bulk_enrollments import cancel, hold, resume
from store.bulk_gates import gates_of
from store.list_tables import BulkEnrollmentRow
from store.tables import now
from tests.waiting import until
from tests.workflows.bulk_stage import FLOW, BulkStage, asked_for, contacts, staged
from tests.workflows.closing import result_of
from tests.workflows.short_runs import ShortRuns
from workflows.discovery import workflow_runner
from workflows.lists.bulk_enrollment import BulkEnrollmentWorkflow

RECORDED = Path(__file__).with_name("bulk_enrollment.json")
ROSA = "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"
DAY = timedelta(days=1)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[BulkStage]:
    async with staged(tmp_path) as begun:
        yield begun


def pilot(count: int, **gate: Any) -> Pilot:
    return Pilot(stages=(Stage(count=count, gate=Gate(**gate)), Stage(share=1.0)))


async def told(stage: BulkStage, job: BulkEnrollmentRow, change: Any, *args: Any) -> None:
    await tell_bulk_enrollment(await stage.changed(job, change, *args), stage.client, stage.database)


async def details(handle: WorkflowHandle[Any, Any]) -> str:
    metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return str(metadata.current_details)


async def test_a_pilot_with_a_complaint_rate_of_0_4_percent_halts_before_its_next_stage(stage: BulkStage) -> None:
    job = await asked_for(stage.database, await contacts(stage.database, 1_200), pilot(1_000))
    async with stage.conducted(job) as handle:
        await stage.until(job, JobStatus.AT_GATE)
        await stage.sent(await stage.enrolled(job), complained=4)
        await stage.time.skip(DAY + timedelta(minutes=1))
        halted = await stage.until(job, JobStatus.HALTED)
        await stage.time.skip(timedelta(days=30))
        assert len(await stage.enrolled(job)) == 1_000
        assert "- why: complaint rate 0.40%" in await details(handle)
    assert halted.reason == "complaint rate 0.40% (4 of 1000) of messages is above 0.30%"
    (gate,) = gates_of(halted)
    assert gate.figures is not None
    assert (gate.outcome, gate.figures.sent, gate.figures.complaints) == ("halted", 1_000, 4)


async def test_a_pilot_below_its_limits_goes_on_after_its_time_and_enrolls_everybody(stage: BulkStage) -> None:
    job = await asked_for(stage.database, await contacts(stage.database, 30), pilot(20, goal_rate_at_least=0.1))
    async with stage.conducted(job) as handle:
        at_gate = await stage.until(job, JobStatus.AT_GATE)
        enrolled = await stage.enrolled(job)
        await stage.sent(enrolled, bounced=1)
        await stage.ended(enrolled[:2], Exit.GOAL)
        await stage.time.skip(DAY - timedelta(minutes=5))
        assert (await stage.job(job)).position == 20
        assert "at the gate after stage 1" in await details(handle)
        await stage.time.skip(timedelta(minutes=6))
        done = await stage.until(job, JobStatus.FINISHED)
        result: Standing = await result_of(handle)
    assert gates_of(at_gate)[0].due_at - gates_of(at_gate)[0].opened_at == DAY
    assert gates_of(done)[0].outcome == "passed"
    assert (done.enrolled, result.enrolled, result.status) == (30, 30, JobStatus.FINISHED)
    assert sorted(stage.started) == sorted(row.id for row in await stage.enrolled(job)), "each was started once"


async def test_a_breach_halts_while_the_time_of_the_gate_still_runs(stage: BulkStage) -> None:
    job = await asked_for(stage.database, await contacts(stage.database, 30), pilot(20, after=timedelta(days=7)))
    async with stage.conducted(job):
        await stage.until(job, JobStatus.AT_GATE)
        await stage.sent(await stage.enrolled(job), bounced=2)
        await stage.time.skip(timedelta(hours=2))
        halted = await stage.until(job, JobStatus.HALTED)
    assert gates_of(halted)[0].due_at > now() + timedelta(days=6)


async def test_a_pilot_whose_messages_did_not_go_out_halts_until_a_person_says_why_it_goes_on(stage: BulkStage) -> None:
    job = await asked_for(stage.database, await contacts(stage.database, 3), pilot(2))
    async with stage.conducted(job):
        await stage.until(job, JobStatus.AT_GATE)
        await stage.time.skip(DAY + timedelta(minutes=1))
        halted = await stage.until(job, JobStatus.HALTED)
        assert halted.reason == "0 messages were sent, fewer than 1: nothing is proven"
        await told(stage, job, resume, ROSA, "sending was paused")
        done = await stage.until(job, JobStatus.FINISHED)
    (gate,) = gates_of(done)
    assert (gate.outcome, gate.person_id, gate.note) == ("overruled", ROSA, "sending was paused")
    assert gate.reason is not None, "why it was halted stays known"
    assert (done.enrolled, done.reason) == (3, None)


async def test_a_hold_between_two_pages_stops_it_until_it_is_resumed(stage: BulkStage) -> None:
    job = await asked_for(stage.database, await contacts(stage.database, 40), per_second=20.0)
    async with stage.conducted(job, page=5) as handle:
        await until(lambda: bool(stage.started))
        await told(stage, job, hold)
        held = await stage.until(job, JobStatus.HELD)
        await until_shown(handle, "held")
        await stage.time.skip(timedelta(days=3))
        assert (await stage.job(job)).position == held.position < 40
        await told(stage, job, resume)
        await stage.until(job, JobStatus.FINISHED)
    assert len(stage.started) == len(set(stage.started)) == 40


async def until_shown(handle: WorkflowHandle[Any, Any], text: str) -> None:
    async def is_shown() -> bool:
        return text in await details(handle)

    await until(is_shown)


async def test_what_an_attempt_left_unstarted_the_next_one_starts_before_it_goes_on(stage: BulkStage) -> None:
    job = await asked_for(stage.database, await contacts(stage.database, 6), per_second=4.0)
    stage.fails = 1
    async with stage.conducted(job):
        await until(lambda: not stage.fails)
        left = [row.id for row in await stage.enrolled(job)]
        assert len(left) == 4, "no more than a second's worth"
        await stage.until(job, JobStatus.FINISHED)
    assert sorted(stage.started[:4]) == left
    assert len(stage.started) == len(set(stage.started)) == 6


async def test_one_that_is_cancelled_ends_and_who_is_enrolled_stays(stage: BulkStage) -> None:
    job = await asked_for(stage.database, await contacts(stage.database, 3), pilot(2))
    async with stage.conducted(job) as handle:
        await stage.until(job, JobStatus.AT_GATE)
        await told(stage, job, cancel, "cancelled by api")
        assert (await result_of(handle)).status is JobStatus.CANCELLED
    assert [row.status for row in await stage.enrolled(job)] == ["active", "active"]


async def test_a_cancellation_in_the_temporal_web_ui_is_noted(stage: BulkStage) -> None:
    job = await asked_for(stage.database, await contacts(stage.database, 3), pilot(2))
    async with stage.conducted(job) as handle:
        await stage.until(job, JobStatus.AT_GATE)
        # The time-skipping server stops a run for good where its cancellation meets the answer of an activity.
        await until_shown(handle, "at the gate")
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await result_of(handle)
        assert (await handle.describe()).status is WorkflowExecutionStatus.CANCELED
    assert ((await stage.job(job)).status, (await stage.job(job)).reason) == ("cancelled", "cancelled in Temporal")


async def test_while_its_flow_is_held_it_waits_and_looks_again(stage: BulkStage) -> None:
    job = await asked_for(stage.database, await contacts(stage.database, 3))
    async with stage.database.write() as session:
        await holds.hold(session, holds.Scope.FLOW, FLOW)
    async with stage.conducted(job) as handle:
        await until_shown(handle, "held")
        assert "waits, as the flow is held" in await details(handle)
        async with stage.database.write() as session:
            await holds.resume(session, holds.Scope.FLOW, FLOW)
        await stage.time.skip(timedelta(minutes=2))
        await stage.until(job, JobStatus.FINISHED)


async def test_a_flow_that_is_gone_from_the_code_halts_it(stage: BulkStage) -> None:
    job = await asked_for(stage.database, await contacts(stage.database, 3))
    async with stage.conducted(job, flows={}):
        halted = await stage.until(job, JobStatus.HALTED)
    assert halted.reason == "no flow spring in the code: deploy it, then resume"


async def test_an_approval_is_refused_before_the_gate_waits_and_then_counts_once(stage: BulkStage) -> None:
    asking = pilot(2, minimum_sent=0, approval=GateApproval(role="marketing"))
    job = await asked_for(stage.database, await contacts(stage.database, 3), asking)
    decision = GateDecision(job_id=job.id, stage=0, person_id=ROSA, approved=True)
    async with stage.conducted(job) as handle:
        await stage.until(job, JobStatus.AT_GATE)
        with pytest.raises(DecisionRefused):
            await tell_decision(decision.model_copy(update={"person_id": "somebody"}), stage.client)
        await stage.time.skip(DAY + timedelta(minutes=1))
        await stage.until(job, JobStatus.AWAITING_APPROVAL)
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("decide", decision.model_copy(update={"stage": 1}))
        first, second = await asyncio.gather(*(tell_decision(decision, stage.client) for _ in range(2)))
        assert first == second
        done = await stage.until(job, JobStatus.FINISHED)
        accepted = str((await handle.fetch_history()).events).count("workflow_execution_update_accepted")
    assert accepted == 1
    assert gates_of(done)[0].person_id == ROSA


async def test_a_page_costs_six_events_and_long_runs_continue_as_new_at_the_same_rate(stage: BulkStage) -> None:
    job = await asked_for(stage.database, await contacts(stage.database, 10), per_second=20.0)
    async with stage.conducted(job, page=2, conductor=ShortRuns) as handle:
        first = await handle.describe()
        done = await stage.until(job, JobStatus.FINISHED)
        await result_of(handle)
        run = stage.client.get_workflow_handle(handle.id, run_id=first.run_id)
        history = await run.fetch_history()
    kinds = Counter(EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in history.events)
    assert kinds["WORKFLOW_EXECUTION_CONTINUED_AS_NEW"] == 1
    assert kinds["ACTIVITY_TASK_SCHEDULED"] == 4, "to prepare, and three pages"
    assert len(history.events) == 5 + 4 * 6
    assert done.enrolled == 10
    assert len(stage.started) == len(set(stage.started)) == 10
    rows = await stage.enrolled(job)
    assert rows[-1].created_at - rows[0].created_at > timedelta(seconds=0.4)
    await replayed(history, by=ShortRuns)


async def replayed(*histories: WorkflowHistory, by: type[Any] = BulkEnrollmentWorkflow) -> None:
    replayer = Replayer(workflows=[by], workflow_runner=workflow_runner(), data_converter=pydantic_data_converter)
    for each in histories:
        await replayer.replay_workflow(each)


async def test_it_replays_from_each_of_its_waits_and_a_breach_halts_it_also_while_a_person_is_waited_for(
    stage: BulkStage,
) -> None:
    """Held at a gate beyond its time, asked about, halted, let go on. `CAUCE_RECORD_BULK=1` records it anew."""
    asking = pilot(20, minimum_sent=0, approval=GateApproval(role="marketing"))
    job = await asked_for(stage.database, await contacts(stage.database, 30), asking)
    histories = []
    async with stage.conducted(job, page=10) as handle:
        await stage.until(job, JobStatus.AT_GATE)
        await told(stage, job, hold)
        await until_shown(handle, "held")
        await stage.time.skip(3 * DAY)
        histories.append(await handle.fetch_history())
        assert (await stage.job(job)).status == JobStatus.HELD
        await told(stage, job, resume)
        await stage.until(job, JobStatus.AWAITING_APPROVAL)
        histories.append(await handle.fetch_history())
        await stage.sent(await stage.enrolled(job), complained=1)
        await stage.time.skip(timedelta(hours=2))
        await stage.until(job, JobStatus.HALTED)
        histories.append(await handle.fetch_history())
        await told(stage, job, resume, ROSA, "a test address")
        await result_of(handle)
        histories.append(await handle.fetch_history())
    await replayed(*histories)
    if os.environ.get("CAUCE_RECORD_BULK"):
        RECORDED.write_text(histories[-1].to_json())


async def test_a_history_that_was_recorded_before_replays_on_the_code_at_hand() -> None:
    await replayed(WorkflowHistory.from_json("bulk:recorded", RECORDED.read_text()))
