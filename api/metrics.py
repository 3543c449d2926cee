"""What the API counts, for Prometheus. No label has a value that a sender can make up."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram


class Metrics:
    """One app's counters, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "cauce_api_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "cauce_api_request_seconds", "Time to answer a request", ["method", "route"], registry=self.registry
        )
        self.enrollments = Counter(
            "cauce_api_enrollments", "Enrollments asked for, by result", ["result"], registry=self.registry
        )
        self.events = Counter("cauce_api_events", "Events taken, by result", ["result"], registry=self.registry)
        self.delivery_events = Counter(
            "cauce_api_delivery_events",
            "Events of messages that providers told, by kind and result",
            ["kind", "result"],
            registry=self.registry,
        )
