"""A circuit breaker: while a provider is out of order, one message at a time probes it and all others wait.

Closed, messages go out. Some failures in a row open it: nothing is sent for a pause. After that it is half-open: one
message is the probe. If the probe succeeds the circuit closes; if it fails the next pause is twice as long.

A circuit is a value that all workers share: store what a transition returns where no other transition comes between,
in a transaction that holds the row. A transition that changes nothing returns the circuit itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from domain.spreading import spread

_ASK_WITHIN = timedelta(seconds=10)


class CircuitRules(BaseModel):
    """When a circuit opens, and how long it pauses."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    failures_to_open: int = Field(default=5, ge=1)
    first_pause: timedelta = Field(default=timedelta(seconds=30), gt=timedelta(0))
    longest_pause: timedelta = Field(default=timedelta(minutes=5), gt=timedelta(0))
    probe_expires_after: timedelta = Field(default=timedelta(minutes=2), gt=timedelta(0))
    """Longer than a provider may take to answer: then the worker that sends the probe is taken to be killed."""


class Send(NamedTuple):
    """Go ahead. To be handed back with what came of it."""

    generation: int


class Probe(NamedTuple):
    """Go ahead, alone: what comes of this message decides for all others. To be handed back with it."""

    generation: int
    number: int


class WaitUntil(NamedTuple):
    """Do not send; ask again at this moment, with the jitter of `ask_again`."""

    moment: datetime


class Outage(BaseModel):
    """Since a circuit opened."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: datetime
    pause: timedelta
    """After the latest failure."""
    next_probe_at: datetime
    """When the pause is over, or the probe that is under way expires."""
    probes: int = 0
    """Claimed so far."""
    probing: bool = False
    """Whether nothing is known yet of the latest probe."""

    def claim_probe(self, now: datetime, rules: CircuitRules) -> Outage:
        expires = now + rules.probe_expires_after
        return self.model_copy(update={"probes": self.probes + 1, "probing": True, "next_probe_at": expires})

    def probe_failed(self, now: datetime, rules: CircuitRules) -> Outage:
        pause = min(2 * self.pause, rules.longest_pause)
        return self.model_copy(update={"pause": pause, "probing": False, "next_probe_at": now + pause})


class Circuit(BaseModel):
    """The state of one provider's circuit; a new one is closed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    generation: int = 0
    """One more each time that it opens or closes: tells messages that went out before from those after."""
    failures: int = 0
    """In a row, while it is closed."""
    outage: Outage | None = None

    @property
    def state(self) -> Literal["closed", "open", "half_open"]:
        if self.outage is None:
            return "closed"
        return "half_open" if self.outage.probing else "open"

    @property
    def open_since(self) -> datetime | None:
        """When the present outage began, however many probes have failed since; None: there is none."""
        return self.outage.since if self.outage else None

    def may_send(self, now: datetime, rules: CircuitRules) -> tuple[Circuit, Send | Probe | WaitUntil]:
        """Permit a message, or let it wait. A probe is the message's own once the circuit returned is stored."""
        if self.outage is None:
            return self, Send(self.generation)
        if now < self.outage.next_probe_at:
            # A probe is mostly answered long before it expires: who asks meanwhile waits no longer than a pause.
            soon = now + rules.first_pause if self.outage.probing else self.outage.next_probe_at
            return self, WaitUntil(min(soon, self.outage.next_probe_at))
        claimed = self.outage.claim_probe(now, rules)
        return self.model_copy(update={"outage": claimed}), Probe(self.generation, claimed.probes)

    def succeeded(self, permission: Send | Probe) -> Circuit:
        """The provider answered, whether it took the message or refused it: any probe of this outage closes."""
        if permission.generation != self.generation:
            return self
        if self.outage:
            return Circuit(generation=self.generation + 1)
        return Circuit(generation=self.generation) if self.failures else self

    def failed(self, permission: Send | Probe, now: datetime, rules: CircuitRules) -> Circuit:
        """The provider is out of order. Of an outage's probes only the latest counts, and only once."""
        if permission.generation != self.generation:
            return self
        if self.outage is None:
            return self._with_another_failure(now, rules)
        if not self.outage.probing or permission != Probe(self.generation, self.outage.probes):
            return self
        return self.model_copy(update={"outage": self.outage.probe_failed(now, rules)})

    def _with_another_failure(self, now: datetime, rules: CircuitRules) -> Circuit:
        if self.failures + 1 < rules.failures_to_open:
            return Circuit(generation=self.generation, failures=self.failures + 1)
        pause = min(rules.first_pause, rules.longest_pause)
        outage = Outage(since=now, pause=pause, next_probe_at=now + pause)
        return Circuit(generation=self.generation + 1, outage=outage)


def ask_again(wait: WaitUntil, key: str) -> datetime:
    """When a message that has to wait asks again: within seconds after the moment, so that not all come at once.

    The `key`, the message's id, makes another of them the first at each moment: one message that a provider cannot
    digest is not for ever the probe.
    """
    return wait.moment + spread(f"{key} {wait.moment.isoformat()}", _ASK_WITHIN)
