"""A contact as a request tells of them, with what they agreed to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StrictBool,
    StringConstraints,
    model_serializer,
    model_validator,
)
from sqlmodel.ext.asyncio.session import AsyncSession

from api.consenting import Following, keep_words
from api.moments import PastMoment
from api.problems import ProblemError, invalid_request
from api.wiring import Services
from domain.consent import ConsentState, Word
from domain.contacts import ContactProfile, Topic
from domain.limits import MAX_OBJECT_CHARACTERS, Text
from emails.topics import SubscriptionTopic
from store.contacts import TooManyAttributes, upsert_contact
from store.tables import ContactRow

API = "api"


def _also_bare(schema: dict[str, Any]) -> None:
    """The object's schema, or a bare true or false."""
    described = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "boolean"}, described]


class ConsentGiven(BaseModel):
    """Whether a contact agreed, in short `true` or `false`; or with where, when and to which text."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_also_bare)

    granted: StrictBool
    source: Annotated[Text, StringConstraints(min_length=1)] = Field(
        default=API, description="where they said so", examples=["trade fair 2026"]
    )
    wording: Text | None = Field(
        default=None, description="version of the text that they agreed to; left out: the present one", examples=["1"]
    )
    recorded_at: PastMoment | None = Field(
        default=None,
        description="when they said so, with a time zone. Left out, it may be old: it does not bring back a topic that "
        "the contact left themselves",
    )
    confirmed: StrictBool = Field(
        default=False, description="they have confirmed it by an email of yours: under double opt-in none is sent"
    )

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: object) -> object:
        if isinstance(value, bool):
            return {"granted": value}
        if isinstance(value, Mapping | ConsentGiven):
            return value
        raise ValueError("expected true, false or an object with `granted`")

    @model_serializer(mode="wrap")
    def _as_it_came(self, handler: SerializerFunctionWrapHandler) -> object:
        return self.granted if self.model_fields_set == {"granted"} else handler(self)

    def word(self, topic: str, described: SubscriptionTopic, *, double_opt_in: bool) -> Word:
        """What is kept of it. A text is recorded of what was agreed to alone."""
        if not self.granted:
            return Word(topic, ConsentState.WITHDRAWN, self.source, API, given_at=self.recorded_at)
        wording = self.wording if "wording" in self.model_fields_set else described.wording
        return Word(
            topic=topic,
            state=ConsentState.REQUESTED if double_opt_in and not self.confirmed else ConsentState.GRANTED,
            source=self.source,
            recorded_by=API,
            wording=wording,
            purpose=described.purpose if wording == described.wording else None,
            given_at=self.recorded_at,
        )


class Kept(NamedTuple):
    """`following` is to be told of once the transaction is over."""

    contact: ContactRow
    created: bool
    following: Following


class ContactRequest(ContactProfile):
    """A contact as an integrator knows them. Of a contact that is known, only what is given here changes."""

    consent: Annotated[dict[Topic, ConsentGiven], Field(max_length=50)] = Field(
        default_factory=dict,
        description="by topic, whether they agreed to get email about it; topics left out stay as they are",
        examples=[{"product-news": True}],
    )

    async def keep(self, session: AsyncSession, services: Services, *at: str) -> Kept:
        """Insert or update the contact, within the caller's transaction. `at` is where in the request they are.

        Raises: ProblemError 422; BeingErased.
        """
        words = self._words(services, at)
        profile = ContactProfile.model_validate(self.model_dump(exclude={"consent"}, exclude_unset=True))
        try:
            contact, created = await upsert_contact(session, profile, {}, API)
        except TooManyAttributes:
            message = f"with those that the contact has, more than {MAX_OBJECT_CHARACTERS} characters"
            raise invalid_request([{"loc": (*at, "attributes"), "msg": message}]) from None
        return Kept(contact, created, await keep_words(session, services, contact, words, is_new=created))

    def _words(self, services: Services, at: tuple[str, ...]) -> list[Word]:
        unknown = [topic for topic in self.consent if topic not in services.topics]
        if unknown:
            raise _unknown(unknown, at, services)
        double_opt_in = services.settings.double_opt_in
        return [
            given.word(topic, services.topics[topic], double_opt_in=double_opt_in)
            for topic, given in self.consent.items()
        ]


def _unknown(topics: list[str], at: tuple[str, ...], services: Services) -> ProblemError:
    message = f"is no topic: there are {', '.join(services.topics)}"
    return invalid_request([{"loc": (*at, "consent", topic), "msg": message} for topic in topics])
