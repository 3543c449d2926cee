"""What many contacts say on topics, kept at once: each as `api.consenting.keep_words` would."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlmodel.ext.asyncio.session import AsyncSession

from api.consenting import settle_request
from api.wiring import Services
from domain.consent import CONFIRMATION_FLOW, ConsentState, Word
from store.consents import record_words_of_many, requested_topics
from store.enrolling_many import enroll_those_who_may
from store.tables import ContactRow


async def keep_words_of_many(
    session: AsyncSession, services: Services, words: Mapping[str, Sequence[Word]], known: Mapping[str, ContactRow]
) -> set[str]:
    """Keep what contacts say, by id, within the caller's transaction; answer of whom something new was kept.

    `known` are those of them who are not new; the caller has locked them. What follows is left to the sweep to tell.
    """
    asked = await requested_topics(session, words.keys() & known.keys())
    recorded = await record_words_of_many(session, words)
    counting = defaultdict[str, list[Word]](list)
    for each in recorded:
        if each.counts:
            counting[each.contact_id].append(each.word)
    to_confirm = {
        contact_id
        for contact_id, said in counting.items()
        if any(word.state is ConsentState.REQUESTED for word in said)
    }
    if to_confirm:
        reenroll_after = services.flows[CONFIRMATION_FLOW].about.reenroll_after
        await enroll_those_who_may(
            session, flow=CONFIRMATION_FLOW, contact_ids=to_confirm, reenroll_after=reenroll_after
        )
    for contact_id in sorted(asked.keys() - to_confirm):
        await settle_request(session, known[contact_id], asked[contact_id], counting[contact_id])
    return {each.contact_id for each in recorded}
