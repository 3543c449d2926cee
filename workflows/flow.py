"""The verbs that a flow is written in. Each is a step: its first argument is the step's name, and its identity."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, time, timedelta
from itertools import count
from typing import NoReturn

from pydantic import JsonValue
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from activities.contacts import AttributeAmong, AttributeBracket, ContactActivities, Found, LocalMoment, Moment
from activities.crm import ApplyChange, CrmActivities
from activities.email import EmailActivities, SendEmail
from activities.enrollments import EnrollmentActivities, HandedOver, HandOver
from domain.crm import AddNote, AddScore, Change, CrmResult, SetFields, SetLifecycle, SetOwner, Sunset
from domain.events import concerns
from domain.flows import EMAIL_TASK_QUEUE
from domain.messages import InOutage, MessageStatus, SendResult
from domain.questions import Asked
from domain.trail import Passed, moment_summary, wait_summary
from domain.working_time import Weekday
from workflows.asking import Asking
from workflows.enrolled import Finished, SettingsT

_ON_TIME = timedelta(hours=1)
"""How late a contact may come out of a wait for a local time, after a hold or an outage, and not wait for the next."""
_IN_PLACE_WITHIN = timedelta(days=2)
SKIPPED = SendResult(status=MessageStatus.SKIPPED, reason="inserted where the contact had passed")


class Flow(Asking[SettingsT]):
    """Base of all flows. A flow sets `about`, tells its `journey`, and its `run` is `return await self.conduct()`.

    Verbs that ask people (`ask`, `task`, `assign_lead`) are in `workflows.asking`.
    """

    @property
    def entered_at(self) -> datetime:
        """When the contact entered this flow."""
        return self._memory.entered_at

    # -- Messages and time ----------------------------------------------------------------------------------------

    async def send(
        self, step: str, message: str | None = None, *, in_outage: InOutage = InOutage.OTHER_PROVIDER
    ) -> SendResult:
        """Send the email `emails/<flow>/<message>`, which is called like the step unless `message` says otherwise.

        Out of sending hours, or while the contact gets enough, it waits. `in_outage` says what it does while the
        provider is out of order for long.
        """
        order = SendEmail(
            enrollment_id=self._enrollment.id,
            step=step,
            message=message if message != step else None,
            aliases=self._steps.aliases(step),
            in_outage=in_outage if in_outage is not InOutage.OTHER_PROVIDER else None,
            build=self._memory.build,
        )
        result = await self._send(step, order)
        for number in count(2):
            if result.until is None:
                break
            await self.wait_until(f"{step}/wait-{number}", result.until)
            result = await self._send(f"{step}/send-{number}", order)
        if result.outage:
            subject = f"Write to the contact in place of the email {message or step}"
            await self.task(f"{step}/task", subject, to=Asked(role=self.about.owner), due=_IN_PLACE_WITHIN, wait=False)
        return result

    async def _send(self, part: str, order: SendEmail) -> SendResult:
        if not await self._opens(part):
            return self._remembered(part, SendResult) or SKIPPED
        # What came before this message is no answer to it.
        self._memory.unheard.clear()
        words = f"email {order.message or order.step}"
        return await self._act(part, words, EmailActivities.send, order, EMAIL_TASK_QUEUE)

    async def wait(self, step: str, duration: timedelta) -> None:
        """Let time pass. After a change of the duration, what was waited already counts."""
        if await self._opens(step):
            summary = wait_summary(step, duration, self._steps.trail, self._steps.latest())
            await self._until(summary, lambda: self._steps.since(step) + duration)
            self._steps.leave(Passed(step))

    async def wait_until(self, step: str, moment: datetime) -> None:
        """Let time pass until a moment; one that is past is no wait."""
        if await self._opens(step):
            await self._until(moment_summary(step, moment, self._steps.trail), lambda: moment)
            self._steps.leave(Passed(step))

    async def wait_for_local_time(self, step: str, at: time, days: Collection[Weekday] = tuple(Weekday)) -> None:
        """Let time pass until it is `at` on one of these weekdays where the contact is; no wait if it is just then.

        After a hold that was longer, the next such moment is waited for.
        """
        if await self._opens(step):
            order = LocalMoment(enrollment_id=self._enrollment.id, at=at, days=list(days))
            for number in count(1):
                part = f"{step}/look-up-{number}"
                found = await self._do(part, "look up the time", ContactActivities.local_moment, order, Moment)
                if found is None or await self._on_time(f"{step}/wait-{number}", found.moment):
                    break
            self._steps.leave(Passed(step))

    async def _on_time(self, wait: str, moment: datetime) -> bool:
        """Wait until a moment; answer whether it is still about that moment then."""
        if await self._opens(wait):
            await self._until(moment_summary(wait, moment, self._steps.trail), lambda: moment)
            self._steps.leave(Passed(wait, workflow.now() - moment < _ON_TIME))
        return self._steps.result(wait) is True

    async def happened(self, step: str, *, within: timedelta, event: str | None = None) -> bool:
        """Wait for an event, called like the step unless `event` says otherwise; answer whether it came in time.

        What arrived since the latest message went out counts too, and each arrival answers one wait only.
        """
        event = event or step
        if not concerns(self.about, event, self._enrollment.settings):
            raise ApplicationError(
                f"step {step} waits for {event}, which this flow is never told of: add it to FlowType.listens",
                type="EventNotListened",
                non_retryable=True,
            )
        if not await self._opens(step):
            return self._steps.result(step) is True
        summary = wait_summary(step, within, self._steps.trail, self._steps.latest(), event)
        came = await self._until(
            summary, lambda: self._steps.since(step) + within, lambda: self._first(event) is not None
        )
        if (happening := self._first(event)) is not None:
            self._memory.unheard.remove(happening)
        self._steps.leave(Passed(step, came, event if came else None))
        return came

    def finish(self, step: str) -> NoReturn:
        """End the journey here, as completed."""
        self._now_at.step, self._now_at.next_wake_at = step, None
        raise Finished

    # -- What is known of the contact -----------------------------------------------------------------------------

    async def choose(self, step: str, *, attribute: str, among: Sequence[str]) -> str:
        """Answer which of these words the contact is for: by their latest event's property or their attribute of that
        name; the first of them if neither has one of them.
        """
        order = AttributeAmong(enrollment_id=self._enrollment.id, attribute=attribute, among=list(among))
        found = await self._do(step, f"look up {attribute}", ContactActivities.among, order, Found)
        return str(found.answer) if found and found.answer in among else among[0]

    async def bracket(self, step: str, *, attribute: str, bounds: Sequence[int]) -> int:
        """Answer how many of these rising bounds the contact's number of that name reaches; 0 if they have none."""
        order = AttributeBracket(enrollment_id=self._enrollment.id, attribute=attribute, bounds=list(bounds))
        found = await self._do(step, f"look up {attribute}", ContactActivities.bracket, order, Found)
        return int(found.answer or 0) if found else 0

    # -- What changes of the contact ------------------------------------------------------------------------------

    async def update_contact(self, step: str, fields: Mapping[str, JsonValue]) -> None:
        """Set attributes of the contact; one that is None is removed. Nothing personal: it stands in the history."""
        await self._change(step, f"set {', '.join(fields)}", SetFields(fields=dict(fields)))

    async def set_lifecycle(self, step: str, stage: str) -> None:
        """Set the contact's lifecycle stage: lead, qualified, customer, or whatever your words are."""
        await self._change(step, f"lifecycle {stage}", SetLifecycle(stage=stage))

    async def change_score(self, step: str, points: int) -> int:
        """Add points to the contact's score, or take some; answer what it is then. 0 if the step was passed by."""
        done = await self._change(step, f"score {points:+d}", AddScore(points=points))
        return (done.score if done else None) or 0

    async def set_owner(self, step: str, person_id: str | None) -> None:
        """Make a person the owner of the lead; None takes the owner away."""
        await self._change(step, "set owner", SetOwner(person_id=person_id))

    async def note(self, step: str, text: str) -> None:
        """Leave a note on the contact's timeline. Nothing personal: it stands in the history."""
        await self._change(step, "note", AddNote(text=text))

    async def sunset(self, step: str) -> None:
        """Send the contact no more marketing, in any flow, until they act."""
        await self._change(step, "sunset", Sunset())

    async def hand_over(self, step: str, flow: str) -> bool:
        """Enroll the contact in another flow; answer whether they are in it. The new enrollment knows where from."""
        order = HandOver(enrollment_id=self._enrollment.id, step=step, flow=flow)
        done = await self._do(step, f"hand over to {flow}", EnrollmentActivities.hand_over, order, HandedOver)
        return done is not None and done.status != "refused"

    async def _change(self, step: str, words: str, change: Change) -> CrmResult | None:
        order = ApplyChange(
            enrollment_id=self._enrollment.id, step=step, change=change, aliases=self._steps.aliases(step)
        )
        return await self._do(step, words, CrmActivities.apply, order, CrmResult)
