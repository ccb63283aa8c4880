"""Invented people. The same number is the same person everywhere, so both shops know the same e-mail addresses."""

from __future__ import annotations

FIRST = (
    "Ada", "Ben", "Carla", "Dmitri", "Elif", "Femi", "Greta", "Hugo", "Ines", "Jonas", "Kaia", "Liam", "Mara", "Noor", "Otto",
    "Priya", "Quinn", "Rosa", "Sven", "Tara", "Uma", "Viktor", "Wanda", "Xenia", "Yusuf", "Zoe", "Amir", "Bea", "Cleo", "Dario",
)  # fmt: skip
LAST = (
    "Abel", "Brandt", "Castro", "Dahl", "Eriksen", "Fuchs", "Greco", "Hahn", "Ito", "Jansen", "Kowalski", "Lindgren", "Moreau",
    "Novak", "Okafor", "Petrov", "Quist", "Rossi", "Santos", "Tanaka", "Urban", "Vogel", "Weber", "Yilmaz", "Ziegler",
)  # fmt: skip


def person(number: int) -> tuple[str, str]:
    """E-mail address and name."""
    first = FIRST[number % len(FIRST)]
    last = LAST[number * 7 // len(FIRST) % len(LAST)]
    return f"{first}.{last}.{number}@example.com".lower(), f"{first} {last}"


def as_typed(email: str, number: int) -> str:
    """The address as people type it into a form: sometimes with capitals, sometimes with a stray space."""
    if number % 7 == 3:
        return email.title()
    return f" {email}" if number % 11 == 5 else email


USER_AGENTS = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 "
    "Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0",
)
CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
