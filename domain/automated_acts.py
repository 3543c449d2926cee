"""Opens and clicks that machines did: scanners that follow every link, and proxies that fetch images for people.

Each rule only ever adds to what is marked when more becomes known. None is certain; that is why what is marked is kept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta

from domain.deliveries import DeliveryKind, Sign, Told

TOO_FAST = {DeliveryKind.OPENED: timedelta(seconds=2), DeliveryKind.CLICKED: timedelta(seconds=5)}
"""After the delivery. A message is in the inbox at that moment, and not yet read."""
BEFORE_DELIVERY = timedelta(minutes=1)
"""A server that scans before it says that it took the message opens and clicks a little before the delivery."""
MANY_LINKS = 3
AT_ONCE = timedelta(seconds=5)
"""Within so much time nobody clicks so many different links."""
OF_ITSELF = (Sign.PROVIDER, Sign.AGENT)
"""What one event tells alone; the other signs show among the events of a message."""

_KNOWN = re.compile(
    r"""
    # scanners of mail and of links
    \b(barracuda|proofpoint|mimecast|safelinks|ironport|cisco\ secure\ email|messagelabs|symantec
      |forcepoint|fortiguard|fortimail|sophos|trend\ ?micro|trellix|fireeye|check\ ?point|bitdefender|kaspersky|zscaler
      |vade\ ?secure|spamhaus)
    # proxies that fetch images for people
    |imageproxy|mailproxy
    # previews of links, and programs
    |\b(bingpreview|skypeuripreview|facebookexternalhit|whatsapp/|headlesschrome|phantomjs)
    |\b(python-(requests|urllib|httpx)|aiohttp|go-http-client|okhttp|libwww-perl|curl/|wget/|java/)
    # by their kind; Cubot is a make of phones
    |(?<!\bcu)bot\b|\bcrawler\b|\bspider\b|\b(url|link|mail)\ ?(scan|check)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_APPLE_MAIL_PRIVACY = "Mozilla/5.0"
"""Nothing after it, as no program for people has."""


def known_agent(user_agent: str) -> bool:
    """Whether a user agent is one of a scanner, of a privacy proxy, or of a program that nobody reads mail with."""
    return user_agent.strip() == _APPLE_MAIL_PRIVACY or _KNOWN.search(user_agent) is not None


def automated(told: Collection[Told], of_itself: Mapping[str, Sign]) -> dict[str, Sign]:
    """By id, which opens and clicks among all that is known of one message machines did, and what tells so.

    `of_itself` has what events tell alone. In whatever order the events are given, the answer is the same.
    """
    delivered = [event.occurred_at for event in told if event.kind is DeliveryKind.DELIVERED]
    signs = dict.fromkeys(_many_at_once(told), Sign.MANY_LINKS)
    for event in told:
        limit = TOO_FAST.get(event.kind)
        if limit is not None and any(-BEFORE_DELIVERY <= event.occurred_at - moment <= limit for moment in delivered):
            signs[event.id] = Sign.TOO_FAST
    return signs | {event_id: sign for event_id, sign in of_itself.items() if sign in OF_ITSELF}


def _many_at_once(told: Collection[Told]) -> Iterator[str]:
    """The ids of clicks in any span of `AT_ONCE` in which `MANY_LINKS` different links were clicked, or more."""
    clicks = sorted(
        (event for event in told if event.kind is DeliveryKind.CLICKED), key=lambda event: event.occurred_at
    )
    links = Counter[str]()
    first = told_until = 0
    for last, click in enumerate(clicks):
        links.update(_link(click))
        while click.occurred_at - clicks[first].occurred_at > AT_ONCE:
            links -= Counter(_link(clicks[first]))
            first += 1
        if len(links) >= MANY_LINKS:
            yield from (event.id for event in clicks[max(first, told_until) : last + 1])
            told_until = last + 1


def _link(click: Told) -> Sequence[str]:
    return [] if click.url is None else [click.url]
