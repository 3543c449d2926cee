"""Messages that wait for sending hours or a frequency cap, and steps whose provider is out of order."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlmodel import select
from temporalio.testing import WorkflowEnvironment

from activities.outgoing import Outgoing
from domain.circuit import CircuitRules
from domain.contacts import ContactProfile
from domain.flows import Exit
from domain.messages import DeliveryAmbiguous, MessageClass, MessageStatus, ProviderUnavailable, Settlement
from rehearsal.enrolled import Journey
from rehearsal.journey import JourneysOn, JourneyStarter
from runtime.resending import start_resend
from runtime.sweep import Sweep
from store.database import Database
from store.ledger import lock_message, settle_doubt
from store.ledger_tables import MessageRow
from store.people_tables import TaskRow
from store.tables import now
from tests.activities.sending import Post
from tests.flows.specimen_templates import with_specimens
from tests.flows.specimens.caller import Caller
from tests.flows.specimens.drip import Drip
from tests.waiting import until
from worker.scheduling import scheduling

HOUR, NOW = timedelta(hours=1), timedelta(0)
IN_SANTIAGO = ContactProfile(email="ada@example.com", first_name="Ada", country="CL")


@pytest.fixture
def journey() -> JourneyStarter:
    """Begins on a Monday at 9 UTC, before dawn in Chile."""
    return with_specimens(JourneysOn(sending={"sending_hours": "09:00-18:00"}))


async def opening_in(j: Journey) -> timedelta:
    """From the beginning of the journey until the deferred message goes out."""
    (row,) = await j.ledger()
    assert row.deferred_until is not None
    return row.deferred_until - j.row.created_at


async def test_a_message_that_comes_up_at_night_goes_out_in_the_morning(journey: JourneyStarter) -> None:
    async with journey(Drip, IN_SANTIAGO, pause=NOW) as j:
        assert 2.9 * HOUR < await opening_in(j) < 4 * HOUR
        assert (await j.progress()).step == "tip"
        assert "quiet hours" in str((await j.ledger())[0].reason)
        await j.travel(hours=2.9)
        assert j.inbox().subjects == []
        await j.travel(hours=2)
        assert j.inbox().subjects == ["tip for Ada"]
        assert (await j.outcome()).exit is Exit.COMPLETED


async def test_who_leaves_while_a_message_waits_gets_it_no_more(journey: JourneyStarter) -> None:
    async with journey(Drip, IN_SANTIAGO, pause=NOW) as j:
        await j.unsubscribe()
        await j.travel(days=2)
        assert j.inbox().subjects == []
        assert (await j.outcome()).exit is Exit.UNSUBSCRIBED
        (row,) = await j.ledger()
        assert (row.status, row.reason) == ("skipped", "the enrollment ended: unsubscribed")


async def test_a_message_that_waits_is_held_with_its_enrollment(journey: JourneyStarter) -> None:
    async with journey(Drip, IN_SANTIAGO, pause=NOW) as j:
        await j.hold()
        await j.travel(days=1)
        assert j.inbox().subjects == []
        await j.resume()
        await j.travel(days=1)
        assert j.inbox().subjects == ["tip for Ada"]


async def test_a_message_over_the_cap_waits_for_its_time() -> None:
    journey = with_specimens(JourneysOn(sending={"relationship_caps": "1/2d"}))
    async with journey(Drip, IN_SANTIAGO, pause=24 * HOUR) as j:
        async with j.database.write() as session:
            earlier = MessageRow(
                flow=j.row.flow,
                enrollment_id=j.row.id,
                contact_id=j.row.contact_id,
                step="another",
                status=MessageStatus.SENT,
                message_class=MessageClass.RELATIONSHIP,
                handed_over_at=now(),
            )
            session.add(earlier)
        await j.travel(hours=47)
        assert j.inbox().subjects == []
        await j.travel(hours=2)
        assert j.inbox().subjects == ["tip for Ada"]


async def test_while_the_provider_is_out_of_order_somebody_gets_a_task_and_the_flow_goes_on(
    temporal: WorkflowEnvironment, database: Database
) -> None:
    post = Post()
    post.trouble = ProviderUnavailable("not reached")
    rules = CircuitRules(failures_to_open=1)
    journey = with_specimens(JourneysOn(temporal, database))
    async with journey(Caller, mailer=Outgoing(post, failover_after=NOW, rules=rules)) as j:

        async def goes_on() -> bool:
            return (await j.progress()).step == "a-day"

        await until(goes_on)
        async with database.read() as session:
            (task,) = list(await session.exec(select(TaskRow)))
        assert (task.role, task.status) == ("marketing", "open")
        assert task.subject == "Write to the contact in place of the email tip"
        assert [(row.step, row.status) for row in await j.ledger()] == [("tip", "skipped")]
    assert post.taken == []


@pytest.mark.parametrize("by", ["person", "policy"])
async def test_a_doubt_that_is_settled_by_resending_is_handed_over_once_more(
    temporal: WorkflowEnvironment, database: Database, by: str
) -> None:
    post = Post()
    post.trouble = DeliveryAmbiguous("no answer")
    journey = with_specimens(JourneysOn(temporal, database))
    async with journey(Caller, mailer=post) as j, scheduling(temporal.client, database, {}):
        await until(lambda: post.calls == 1)

        async def in_doubt() -> bool:
            return [row.status for row in await j.ledger()] == ["unconfirmed"]

        await until(in_doubt)
        post.trouble = None
        if by == "person":
            async with database.write() as session:
                row = await lock_message(session, (await j.ledger())[0].id)
                assert row is not None
                settle_doubt(row, Settlement.RESEND, by="person 1")
                session.add(row)
            await start_resend(temporal.client, row)
            await start_resend(temporal.client, row)
        else:
            swept = await Sweep(j.dispatcher).run(grace=NOW, closed_since=now(), doubt_window=HOUR)
            assert (swept["messages_settled"], swept["messages_resent"]) == (0, 0)
            swept = await Sweep(j.dispatcher).run(grace=NOW, closed_since=now(), doubt_window=NOW)
            assert swept["messages_settled"] == 1
            await Sweep(j.dispatcher).run(grace=NOW, closed_since=now(), doubt_window=NOW)

        async def is_sent() -> bool:
            return [row.status for row in await j.ledger()] == ["sent"]

        await until(is_sent)
        assert post.calls == 2
        swept = await Sweep(j.dispatcher).run(grace=NOW, closed_since=now(), doubt_window=NOW)
        assert (swept["messages_settled"], swept["messages_resent"]) == (0, 0)
        assert post.calls == 2
