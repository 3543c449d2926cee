"""From the ledger to the provider and back, many messages in one request: each is handed over at most once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import Executor
from datetime import date, datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from temporalio import activity

from activities.handover import uninterrupted
from activities.outgoing import Outgoing, Way
from domain.message_batches import BatchMailer, BatchRejected, MessageBatch
from domain.messages import (
    DeliveryAmbiguous,
    EmailMessage,
    MailerError,
    MessageRejected,
    MessageStatus,
    NotAccepted,
    ProviderUnavailable,
)
from store.broadcast_ledger import PostVerdict, settle_post
from store.database import Database

T = TypeVar("T")


class Post(NamedTuple):
    """One request that is reserved: the letters of a batch, or one email. Its moment is no other's of the broadcast."""

    broadcast_id: str
    month: date
    moment: datetime
    way: Way
    content: MessageBatch | EmailMessage

    @property
    def ids(self) -> list[str]:
        if isinstance(self.content, EmailMessage):
            return [self.content.id]
        return [letter.id for letter in self.content.letters]

    def of(self, places: Sequence[int]) -> Post:
        """A request with some of the letters of a batch."""
        assert isinstance(self.content, MessageBatch)  # noqa: S101 (one email has no parts)
        letters = [self.content.letters[place] for place in places]
        return self._replace(content=self.content._replace(letters=letters))


class BatchRefused(Exception):
    """The provider refuses what all letters of a batch share: the text is its reason. None of them went out."""


class _Answer(NamedTuple):
    """What became of a request. `refused` says that it was for what its letters share."""

    post: Post
    verdict: PostVerdict
    refused: bool = False


class BatchHandover:
    """`threads` runs the providers' blocking calls."""

    def __init__(self, database: Database, outgoing: Outgoing, threads: Executor) -> None:
        self._database = database
        self._outgoing = outgoing
        self._threads = threads

    async def to_its_end(self, work: Coroutine[Any, Any, T], month: date) -> T:
        """Do an activity's work, with heartbeats, after writing down what an earlier attempt could not."""
        return await uninterrupted(self._after_what_was_kept(work, month))

    async def hand_over(self, posts: Sequence[Post]) -> list[PostVerdict]:
        """Hand over some requests at once, and write down what became of each.

        What cannot be written is kept in the heartbeat, for the next attempt to write down. If a provider complains of
        single letters, the others are handed over without them. Raises: BatchRefused, once all is written down.
        """
        answers = [answer for found in await asyncio.gather(*map(self._answers, posts)) for answer in found]
        try:
            await self._settle(answers)
        except SQLAlchemyError:
            activity.heartbeat([answer.verdict.model_dump(mode="json") for answer in answers])
            raise
        for answer in answers:
            if answer.refused:
                raise BatchRefused(answer.verdict.reason)
        return [answer.verdict for answer in answers]

    async def _answers(self, post: Post) -> list[_Answer]:
        mailer, permission = post.way
        verdict = PostVerdict(
            broadcast_id=post.broadcast_id,
            handed_over_at=post.moment,
            provider=mailer.name,
            permission=permission,
            status=MessageStatus.SENT,
        )
        try:
            verdict.receipt = await asyncio.get_running_loop().run_in_executor(self._threads, _send, post)
        except BatchRejected as error:
            return await self._after_rejection(post, error, verdict)
        except MailerError as error:
            _note(verdict, error)
        return [_Answer(post, verdict)]

    async def _after_rejection(self, post: Post, error: BatchRejected, verdict: PostVerdict) -> list[_Answer]:
        """None of the letters was taken: hand them over without the bad ones, which the provider may not name."""
        count = len(post.ids)
        if not error.of_letters:
            verdict.status, verdict.reason = MessageStatus.READY, error.reason
            return [_Answer(post, verdict, refused=True)]
        if count == 1:
            verdict.status, verdict.reason = MessageStatus.REJECTED, error.reason
            return [_Answer(post, verdict)]
        bad = sorted({place for place in error.at if place < count})
        good = [place for place in range(count) if place not in set(bad)]
        parts = [good, *([place] for place in bad)] if bad else [range(count // 2), range(count // 2, count)]
        answers: list[_Answer] = []
        for part in parts:
            if part:
                answers += await self._answers(post.of(part))
        for answer in answers:
            answer.verdict.ids = answer.post.ids
        return answers

    async def _after_what_was_kept(self, work: Coroutine[Any, Any, T], month: date) -> T:
        try:
            (kept,) = activity.info().heartbeat_details or ([],)
            verdicts = [PostVerdict.model_validate(each) for each in kept]
            if verdicts:
                async with self._database.write() as session:
                    for verdict in verdicts:
                        settled = await settle_post(session, month, verdict, None)
                        await self._learn(session, verdict, settled)
        except BaseException:
            work.close()
            raise
        return await work

    async def _settle(self, answers: Sequence[_Answer]) -> None:
        async with self._database.write() as session:
            for post, verdict, _ in answers:
                await settle_post(session, post.month, verdict, post.ids)
                await self._learn(session, verdict, len(post.ids))

    async def _learn(self, session: Any, verdict: PostVerdict, messages: int) -> None:
        if verdict.provider_failed:
            await self._outgoing.failed(session, verdict.provider, verdict.permission, messages)
        else:
            await self._outgoing.worked(session, verdict.provider, verdict.permission)


def _send(post: Post) -> Any:
    if isinstance(post.content, EmailMessage):
        return post.way.mailer.send(post.content)
    assert isinstance(post.way.mailer, BatchMailer)  # noqa: S101 (whoever reserves it sees to that)
    return post.way.mailer.send_batch(post.content)


def _note(verdict: PostVerdict, error: MailerError) -> None:
    verdict.reason = error.reason
    match error:
        case MessageRejected():
            verdict.status = MessageStatus.REJECTED
        case DeliveryAmbiguous():
            verdict.status, verdict.provider_failed = MessageStatus.UNCONFIRMED, True
        case NotAccepted():
            verdict.status, verdict.retry_after = MessageStatus.READY, error.retry_after
            verdict.provider_failed = isinstance(error, ProviderUnavailable)
