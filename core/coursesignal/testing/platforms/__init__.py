"""Fake platforms: real HTTP servers that speak a platform's documented API, with its contradictions as switches.

They serve the tests, the demo and plugin authors::

    async with FakeKajabi() as kajabi:
        use_platform(installation, kajabi)              # connections of this installation reach the fake
        sale = kajabi.sell("pat@example.com", 19_900)
        kajabi.refund(sale, 5_000)
        await kajabi.deliver(to=webhook_url)            # post what the platform pushes; ``copies=3, rng=…`` for a mess
        kajabi.ledger()["USD"].net_minor                # the fake's own books, to compare with ours

Every one of them can misbehave in the same ways, at any time: ``throttle`` (429, with whatever headers), ``fail`` (any status),
``slow``, ``truncate`` (an answer that breaks off), ``expire`` and ``expire_after`` (credentials end, also in the middle of a
sync), ``quirks.loops`` (paging without end), and ``deliver(copies=3, rng=Random(1))`` (webhooks twice and out of order). What
only one of them does is among its quirks: ``KajabiQuirks``, ``TeachableQuirks``, ``StripeQuirks``. docs/testing.md has the table.
"""

from coursesignal.testing.platforms.authorization import FakeAuthorization
from coursesignal.testing.platforms.books import Book, FakeSale
from coursesignal.testing.platforms.kajabi import FakeKajabi, KajabiQuirks
from coursesignal.testing.platforms.server import Call, Delivery, FakePlatform, Quirks, Reply, use_platform
from coursesignal.testing.platforms.stripe import FakeStripe, StripeQuirks
from coursesignal.testing.platforms.teachable import FakeTeachable, TeachableQuirks

__all__ = [
    "Book",
    "Call",
    "Delivery",
    "FakeAuthorization",
    "FakeKajabi",
    "FakePlatform",
    "FakeSale",
    "FakeStripe",
    "FakeTeachable",
    "KajabiQuirks",
    "Quirks",
    "Reply",
    "StripeQuirks",
    "TeachableQuirks",
    "use_platform",
]
