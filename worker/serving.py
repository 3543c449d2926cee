"""The workers of activities: all versions of all flows share them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker

from activities.approvals import ApprovalActivities
from activities.contacts import ContactActivities
from activities.crm import CrmActivities
from activities.email import EmailActivities
from activities.enrollments import EnrollmentActivities
from activities.handover import Handover
from activities.leads import LeadActivities
from activities.outgoing import Outgoing
from activities.people_mail import PeopleMail
from activities.tasks import TaskActivities
from domain.crm import Crm
from domain.flows import EMAIL_TASK_QUEUE, RECORDS_TASK_QUEUE, FlowType
from emails.templates import Templates
from emails.words import Words
from runtime.links import Links
from runtime.settings import Settings
from store.database import Database
from worker.private_failures import PrivateFailures
from worker.together import at_work
from workflows.discovery import FlowClass

UNVERSIONED = "unversioned"
"""A build id where none counts. Without one the SDK makes a digest of all loaded modules, which takes seconds."""
SENDING_GRACE = timedelta(seconds=45)
"""At a shutdown: longer than a provider's answer takes, so that no send is cut in two."""
RECORDS_GRACE = timedelta(seconds=15)


@asynccontextmanager
async def serving(
    client: Client,
    settings: Settings,
    database: Database,
    outgoing: Outgoing,
    crm: Crm,
    templates: Templates,
    flows: Mapping[str, FlowClass],
    known: Mapping[str, FlowType] | None = None,
) -> AsyncIterator[None]:
    """Do activities inside the block: emails at a rate and in threads of their own, and all that is only recorded.

    `known` are flows that contacts may be handed over to, beside `flows`.
    """
    threads = ThreadPoolExecutor(settings.email_threads, thread_name_prefix="email")
    links = Links(str(settings.public_url), settings.secret_keys())
    handover = Handover(database, outgoing, threads)
    email = EmailActivities(
        database=database,
        handover=handover,
        templates=templates,
        sender=settings.sender,
        settings_models={name: flow.settings_model for name, flow in flows.items()},
        unsubscribe_url=links.unsubscribe_url,
        links={"confirm_url": links.confirm_url},
        rules=settings.sending_rules,
    )
    people = PeopleMail(handover, templates, Words.load(), settings.sender)
    approvals = ApprovalActivities(database, people, links.approval_url)
    tasks = TaskActivities(database, people, links.task_url)
    leads = LeadActivities(database, people, crm, links.lead_url, links.manager_url)
    contacts = ContactActivities(database, settings.sender_time_zone)
    about = {**(known or {}), **{name: flow.about for name, flow in flows.items()}}
    enrollments = EnrollmentActivities(database, about)
    sending = Worker(
        client,
        task_queue=EMAIL_TASK_QUEUE,
        activities=[email.send, email.resend, approvals.ask, tasks.open, leads.offer],
        build_id=UNVERSIONED,
        max_concurrent_activities=settings.email_threads,
        max_task_queue_activities_per_second=settings.email_rate,
        graceful_shutdown_timeout=SENDING_GRACE,
        interceptors=[PrivateFailures()],
    )
    keeping_records = Worker(
        client,
        task_queue=RECORDS_TASK_QUEUE,
        activities=[
            approvals.close,
            tasks.close,
            leads.accept,
            contacts.local_moment,
            contacts.among,
            contacts.bracket,
            CrmActivities(crm).apply,
            enrollments.hand_over,
        ],
        build_id=UNVERSIONED,
        graceful_shutdown_timeout=RECORDS_GRACE,
        interceptors=[PrivateFailures()],
    )
    try:
        async with at_work([sending, keeping_records]):
            yield
    finally:
        threads.shutdown()
