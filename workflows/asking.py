"""Verbs that ask people of the team, and wait for what they answer: to approve, to do a task, to take a lead."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import count, pairwise

from pydantic import JsonValue
from temporalio import workflow

from activities.approvals import ApprovalActivities, AskForApproval, CloseApproval
from activities.leads import AcceptLead, LeadActivities, OfferLead
from activities.tasks import CloseTask, OpenTask, TaskActivities
from domain.events import LEAD_OFFERED
from domain.flows import EMAIL_TASK_QUEUE, State
from domain.questions import (
    ApprovalPlan,
    Asked,
    Assigned,
    Choice,
    Decision,
    Nudge,
    NudgeKind,
    Offer,
    Opened,
    Outcome,
    Question,
    TaskResult,
    content_hash,
    nudges,
    question_id,
    reminders,
)
from domain.trail import Passed, minute, moment_summary, wait_summary
from workflows.doing import Doing
from workflows.enrolled import SettingsT

_IN_QUEUE_AT_MOST = timedelta(days=1)
"""Then the managers are told again."""


class Asking(Doing[SettingsT]):
    """Each of these verbs is a step with parts: to ask, to wait, to remind, to close."""

    async def ask(
        self, step: str, subject: str, *, plan: ApprovalPlan, facts: Mapping[str, JsonValue] | None = None
    ) -> Decision:
        """Ask people to approve something, stage by stage; answer how they decided.

        `subject` and `facts` are what they see and decide on, without anything personal: the contact is shown to them
        beside it. Where either has changed since they decided, and nothing was done since, they are asked again.
        """
        hashed = content_hash(subject, facts or {})
        if not await self._opens(step):
            decision = self._remembered(step, Decision) or Decision(outcome=Outcome.SKIPPED)
            if decision.content_hash in ("", hashed) or not self._steps.reopens(step):
                return decision
        known = self._steps.known_as(step)
        order = AskForApproval(
            enrollment_id=self._enrollment.id,
            step=known,
            subject=subject,
            facts=dict(facts or {}),
            content_hash=hashed,
            plan=plan,
        )
        outcome = Outcome.EXPIRED
        for stage in range(len(plan.stages)):
            outcome = await self._stage(f"{step}/{hashed[:6]}/stage-{stage + 1}", order.of_stage(stage))
            if outcome is not Outcome.APPROVED:
                break
        closing = CloseApproval(
            enrollment_id=self._enrollment.id, step=known, content_hash=hashed, outcome=outcome, answers=self._counted()
        )
        return await self._act(step, f"note: {outcome}", ApprovalActivities.close, closing)

    async def task(
        self,
        step: str,
        subject: str,
        *,
        to: Asked,
        due: timedelta,
        remind_every: timedelta | None = None,
        wait: bool = True,
    ) -> TaskResult:
        """Give people a task; wait until one of them has done it or it is overdue, unless `wait` is false.

        `subject` has nothing personal in it: the contact is shown beside it. Reminders come while the flow waits.
        """
        if not await self._opens(step):
            return self._remembered(step, TaskResult) or TaskResult(status="skipped")
        known = self._steps.known_as(step)
        order = OpenTask(
            enrollment_id=self._enrollment.id, step=known, subject=subject, to=to, due=due, part=step, waited=wait
        )
        if not wait:
            return await self._act(step, f"task for {to}", TaskActivities.open, order, EMAIL_TASK_QUEUE)

        async def remind(part: str, kind: NudgeKind) -> list[str]:
            reminder = order.model_copy(update={"part": part, "why": kind})
            reminded = await self._do(part, "remind", TaskActivities.open, reminder, TaskResult, EMAIL_TASK_QUEUE)
            return reminded.asked if reminded else []

        with self._pending(question_id(self._enrollment.id, known), State.AWAITING_TASK) as identity:
            opening = order.model_copy(update={"part": f"{step}/open"})
            opened = await self._do(
                opening.part, f"task for {to}", TaskActivities.open, opening, TaskResult, EMAIL_TASK_QUEUE
            )
            asked = opened.asked if opened else []
            question = self._put(
                Question(identity, f"{to} to do the task", asked, (Choice.DONE,), answers=self._memory.answers)
            )
            due_last = [*reminders(remind_every, due), Nudge(due, NudgeKind.EXPIRE, "end")]
            await self._until_settled(step, question, due_last, remind)
        closing = CloseTask(
            enrollment_id=self._enrollment.id, step=known, done=question.settled is not None, answers=self._counted()
        )
        return await self._act(step, "close the task", TaskActivities.close, closing)

    async def assign_lead(self, step: str, *, respond_within: timedelta) -> Assigned:
        """Offer the contact to one rep after the other, as the assignment rules say, until one accepts.

        A rep has `respond_within` of their own working time. While nobody can take it the lead waits in the queue.
        """
        if not await self._opens(step):
            return self._remembered(step, Assigned) or Assigned(status="skipped")
        known = self._steps.known_as(step)
        order = OfferLead(enrollment_id=self._enrollment.id, step=known, respond_within=respond_within, part=step)
        with self._pending(question_id(self._enrollment.id, known), State.AWAITING_ACCEPTANCE) as identity:
            for number in count(1):
                order = order.model_copy(update={"part": f"{step}/offer-{number}"})
                offer = await self._do(
                    order.part, "offer the lead", LeadActivities.offer, order, Offer, EMAIL_TASK_QUEUE
                )
                assert offer is not None  # noqa: S101 (no part of a step that was begun is passed by)
                if offer.person_id is None:
                    await self._in_queue(f"{step}/queue-{number}")
                    continue
                self._heard_of_offers()
                if offer.accepted:
                    break
                answer = await self._offered(f"{step}/answer-{number}", identity, offer)
                if answer is Choice.ACCEPT:
                    break
                order = order.model_copy(update={"declined": answer is Choice.DECLINE, "number": offer.number})
        accepting = AcceptLead(enrollment_id=self._enrollment.id, step=known, answers=self._counted())
        return await self._act(step, "accept the lead", LeadActivities.accept, accepting)

    # -- What they are made of ------------------------------------------------------------------------------------

    async def _stage(self, part: str, order: AskForApproval) -> Outcome:
        async def tell(part: str, kind: NudgeKind, delegate_id: str | None = None) -> list[str]:
            telling = order.model_copy(update={"part": part, "why": kind, "delegate_id": delegate_id})
            whom = "a delegate" if delegate_id else order.plan.escalate_to if kind is NudgeKind.ESCALATE else who
            words = f"{kind} {whom}"
            told = await self._do(part, words, ApprovalActivities.ask, telling, Opened, EMAIL_TASK_QUEUE)
            return told.asked if told else []

        async def tell_delegates() -> None:
            while question.told < len(question.delegations):
                delegation = question.delegations[question.told]
                question.told += 1
                await tell(f"{part}/delegate-{question.told}", NudgeKind.DELEGATE, delegation.delegate_id)

        stage = order.plan.stages[order.stage]
        who = f" {'and' if stage.needs == 'all' else 'or'} ".join(map(str, stage.asks))
        identity = question_id(order.enrollment_id, f"{order.step}/{order.content_hash}")
        with self._pending(identity, State.AWAITING_APPROVAL):
            asked = await tell(f"{part}/ask", NudgeKind.ASK)
            question = self._put(
                Question(
                    identity,
                    f"approval by {who}",
                    asked,
                    (Choice.APPROVE, Choice.REJECT, Choice.DELEGATE),
                    needs=stage.needs,
                    stage=order.stage,
                    answers=self._memory.answers,
                    closes=lambda: self._steps.since(part) + order.plan.expires_after,
                )
            )
            await self._until_settled(part, question, nudges(order.plan), tell, tell_delegates)
        return Outcome.of(question.settled)

    async def _until_settled(
        self,
        part: str,
        question: Question,
        due: list[Nudge],
        tell: Callable[[str, NudgeKind], Awaitable[list[str]]],
        tell_delegates: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Wait until a question is settled, do meanwhile what falls due, and end with the last that does.

        All falls due so long after `part` began, whatever else took longer than it should. A reminder that the next
        nudge has caught up with then is left out.
        """
        for nudge, following in pairwise([*due, due[-1]]):
            wait = f"{part}/until-{nudge.name}"
            if await self._answered(wait, question, part, nudge.after, _then(nudge, due[-1]), tell_delegates):
                return
            caught_up_by = following if nudge.kind is NudgeKind.REMIND else due[-1]
            if workflow.now() < self._steps.since(part) + caught_up_by.after:
                question.also(await tell(f"{part}/{nudge.name}", nudge.kind))

    async def _answered(
        self,
        wait: str,
        question: Question,
        begun: str,
        within: timedelta,
        then: Callable[[datetime], str],
        tell_delegates: Callable[[], Awaitable[None]] | None = None,
    ) -> bool:
        """Wait until a question is settled; answer whether it was. The time for it counts since the step `begun`.

        `then` is what operators read of the wait's end.
        """

        def deadline() -> datetime:
            return self._steps.since(begun) + within

        if await self._opens(wait):
            going_on = True
            while going_on and question.settled is None:
                if tell_delegates is not None:
                    await tell_delegates()
                going_on = await self._until(
                    moment_summary(wait, deadline(), self._steps.trail, "answer"),
                    deadline,
                    lambda: question.settled is not None or len(question.delegations) > question.told,
                    doing=lambda: f"awaiting {question}; {then(deadline())}",
                )
            self._steps.leave(Passed(wait, question.settled is not None))
        # Whoever was asked later than a wait that is remembered had no part in it.
        return self._steps.result(wait) is True and question.settled is not None

    async def _offered(self, wait: str, identity: str, offer: Offer) -> Choice | None:
        """The rep's answer to an offer, or None after the time that they have."""
        assert offer.person_id is not None  # noqa: S101 (it is no offer otherwise)
        choices = (Choice.ACCEPT, Choice.DECLINE)
        question = self._put(
            Question(
                identity,
                f"rep {offer.person_id} to accept",
                [offer.person_id],
                choices,
                stage=offer.number,
                answers=self._memory.answers,
            )
        )
        await self._answered(wait, question, wait, offer.respond_within, lambda end: f"next rep at {minute(end)}")
        self._questions[identity] = None
        return question.settled

    async def _in_queue(self, wait: str) -> None:
        def deadline() -> datetime:
            return self._steps.since(wait) + _IN_QUEUE_AT_MOST

        self._state = State.IN_QUEUE
        if await self._opens(wait):
            summary = wait_summary(wait, _IN_QUEUE_AT_MOST, self._steps.trail, self._steps.latest(), LEAD_OFFERED)
            came = await self._until(
                summary,
                deadline,
                lambda: self._first(LEAD_OFFERED) is not None,
                doing=lambda: f"in the queue; managers are told again at {minute(deadline())}",
            )
            self._heard_of_offers()
            self._steps.leave(Passed(wait, came, LEAD_OFFERED if came else None))
        self._state = State.AWAITING_ACCEPTANCE

    def _heard_of_offers(self) -> None:
        self._memory.unheard = [told for told in self._memory.unheard if told.name != LEAD_OFFERED]

    @contextmanager
    def _pending(self, identity: str, state: State) -> Iterator[str]:
        """People are being asked: answers that come while they are wait until `_put` knows who may answer."""
        self._questions[identity] = None
        self._state = state
        try:
            yield identity
        finally:
            del self._questions[identity]
        self._state = State.WAITING

    def _put(self, question: Question) -> Question:
        self._questions[question.id] = question
        return question

    def _counted(self) -> list[str]:
        """Ids of all answers that counted."""
        return [answer.id for answer in self._memory.answers]


def _then(nudge: Nudge, last: Nudge) -> Callable[[datetime], str]:
    """Says what comes when a wait ends, and when the question does."""
    if nudge is last:
        return lambda end: f"{nudge.name}s at {minute(end)}"
    return lambda end: f"{nudge.kind} at {minute(end)}, {last.name}s at {minute(end + last.after - nudge.after)}"
