"""Fake platforms: real HTTP servers that speak a platform's documented API, with its contradictions as switches.

They serve the tests, the demo and plugin authors::

    async with FakeKajabi() as kajabi:
        use_platform(installation, kajabi)              # connections of this installation reach the fake
        sale = kajabi.sell("pat@example.com", 19_900)
        kajabi.refund(sale, 5_000)
        await kajabi.deliver(to=webhook_url)            # post what the platform pushes; ``copies=3, rng=…`` for a mess
        kajabi.ledger()["USD"].net_minor                # the fake's own books, to compare with ours
"""

from coursesignal.testing.platforms.books import Book, FakeSale
from coursesignal.testing.platforms.kajabi import FakeKajabi, KajabiQuirks
from coursesignal.testing.platforms.server import Call, Delivery, FakePlatform, Reply, use_platform
from coursesignal.testing.platforms.teachable import FakeTeachable, TeachableQuirks

__all__ = [
    "Book",
    "Call",
    "Delivery",
    "FakeKajabi",
    "FakePlatform",
    "FakeSale",
    "FakeTeachable",
    "KajabiQuirks",
    "Reply",
    "TeachableQuirks",
    "use_platform",
]
