"""The two invented shops: what they sell, and where their visitors come from."""

from __future__ import annotations

from dataclasses import dataclass

from coursesignal.demo.plan import Arrival, Product

AGENCY_SLUG = "northlight"
AGENCY_NAME = "Northlight Studio"
AGENCY_EMAIL = "agency@example.com"


@dataclass(frozen=True, slots=True)
class Channel:
    """Arrivals of one kind: ``first`` and ``again`` weigh how many new and returning visitors it brings, ``buys`` how many buy.

    ``{campaign}`` in a query is filled with one of ``campaigns``, ``{click}`` with a made-up click id.
    """

    source: str
    first: float
    again: float
    buys: float = 1.0
    query: str = ""
    referrer: str = ""
    campaigns: tuple[str, ...] = ("",)
    for_leads: bool = False
    """Reaches only people who left their e-mail address."""

    def arrival(self, campaign: str, click: str) -> Arrival:
        """One click on it."""
        return Arrival(self.source, self.query.format(campaign=campaign, click=click), self.referrer)


@dataclass(frozen=True, slots=True)
class Launch:
    """A few days in which ``product`` is new; days are counted back from the end of the history."""

    name: str
    product: Product
    first_day_ago: int
    days: int


@dataclass(frozen=True, slots=True)
class Shop:
    """A course creator: one tenant."""

    slug: str
    name: str
    owner: str
    platform: str
    currency: str
    time_zone: str
    site: str
    visitors_a_day: int
    products: tuple[tuple[Product, int], ...]
    """With their weights."""
    abroad: str
    """The currency some buyers pay in."""
    launches: tuple[Launch, ...]
    channels: tuple[Channel, ...]


DIRECT = Channel("direct", 14, 26)

PORTRAITS = Product("Portraits in Pastel", 29_900)
LANDSCAPES = Product("Landscapes from Memory", 24_900)
PIA = Shop(
    slug="paint-with-pia",
    name="Paint with Pia",
    owner="pia@example.com",
    platform="kajabi",
    currency="USD",
    time_zone="America/New_York",
    site="https://paintwithpia.test",
    visitors_a_day=230,
    products=(
        (Product("Watercolour Foundations", 19_900), 40),
        (Product("Sketchbook Habit", 4_900), 30),
        (Product("Studio Membership", 3_900, renews=True), 20),
        (PORTRAITS, 10),
    ),
    abroad="GBP",
    launches=(Launch("Portraits in Pastel", PORTRAITS, 61, 6), Launch("Landscapes from Memory", LANDSCAPES, 17, 5)),
    channels=(
        DIRECT,
        Channel("youtube", 24, 9, 1.3, "utm_source=youtube&utm_medium=video&utm_campaign={campaign}",
                "https://www.youtube.com/", ("loose-washes", "five-brushes", "paint-along-harbour", "colour-mixing")),
        Channel("youtube", 5, 3, 1.2, referrer="https://www.youtube.com/"),
        Channel("instagram", 17, 9, 0.5, "utm_source=instagram&utm_medium=social&utm_campaign={campaign}",
                "https://l.instagram.com/", ("bio", "stories", "reels-sunday")),
        Channel("instagram", 4, 2, 0.5, "fbclid={click}", "https://l.instagram.com/"),
        Channel("google", 14, 10, referrer="https://www.google.com/"),
        Channel("google", 8, 3, 0.9, "gclid={click}&utm_campaign={campaign}", "https://www.google.com/",
                ("brand", "watercolour-course")),
        Channel("newsletter", 0, 26, 2.2, "utm_source=newsletter&utm_medium=email&utm_campaign={campaign}", "",
                ("sunday-letter", "welcome-3", "studio-notes"), for_leads=True),
        Channel("podcast", 3, 1, 1.4, "utm_source=podcast&utm_medium=audio&utm_campaign={campaign}", "",
                ("episode-41", "episode-44")),
        Channel("pinterest", 5, 3, 0.4, referrer="https://www.pinterest.com/"),
        Channel("partner-juno", 3, 2, 1.8, "utm_source=partner-juno&utm_medium=affiliate&utm_campaign=summer"),
        Channel("artistsjournal.test", 3, 1, 1.1, referrer="https://www.artistsjournal.test/best-online-courses"),
    ),
)  # fmt: skip

IMPROVISATION = Product("Improvisieren lernen", 18_900)
KLARA = Shop(
    slug="klavier-mit-klara",
    name="Klavier mit Klara",
    owner="klara@example.com",
    platform="teachable",
    currency="EUR",
    time_zone="Europe/Berlin",
    site="https://klaviermitklara.test",
    visitors_a_day=190,
    products=(
        (Product("Klavier in 30 Tagen", 14_900), 45),
        (Product("Noten lesen", 5_900), 25),
        (Product("Übezirkel", 2_900, renews=True), 22),
        (IMPROVISATION, 8),
    ),
    abroad="CHF",
    launches=(Launch("Improvisieren lernen", IMPROVISATION, 38, 7),),
    channels=(
        DIRECT,
        Channel("google", 25, 14, 1.1, referrer="https://www.google.de/"),
        Channel("google", 12, 4, 0.8, "gclid={click}&utm_campaign={campaign}", "https://www.google.de/",
                ("klavier-lernen", "marke")),
        Channel("youtube", 14, 7, 1.3, "utm_source=youtube&utm_medium=video&utm_campaign={campaign}",
                "https://www.youtube.com/", ("fuer-elise", "akkorde", "uebeplan")),
        Channel("facebook", 8, 4, 0.5, "utm_source=facebook&utm_medium=paid_social&utm_campaign={campaign}&fbclid={click}",
                "https://l.facebook.com/", ("retargeting", "lookalike")),
        Channel("instagram", 7, 4, 0.6, "utm_source=instagram&utm_medium=social&utm_campaign=bio", "https://l.instagram.com/"),
        Channel("newsletter", 0, 28, 2.1, "utm_source=newsletter&utm_medium=email&utm_campaign={campaign}", "",
                ("montagspost", "uebetipp", "willkommen-2"), for_leads=True),
        Channel("podcast", 4, 2, 1.5, "utm_source=podcast&utm_medium=audio&utm_campaign={campaign}", "",
                ("folge-12", "folge-15")),
        Channel("bing", 3, 1, 0.9, "msclkid={click}", "https://www.bing.com/"),
        Channel("partner-notenblatt", 3, 2, 1.7, "utm_source=partner-notenblatt&utm_medium=affiliate&utm_campaign=herbst"),
        Channel("musikblog.test", 4, 2, 1.1, referrer="https://musikblog.test/klavier-apps-im-vergleich"),
        Channel("chatgpt", 3, 2, 1.2, referrer="https://chatgpt.com/"),
    ),
)  # fmt: skip

SHOPS = (PIA, KLARA)
