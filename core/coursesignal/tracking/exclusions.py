"""Referrers that brought nobody: payment pages, logins, course platforms. They would steal the credit from what did."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from coursesignal.tracking.data import sections
from coursesignal.tracking.urls import host_matches, host_of, path_of, same_site

EXCLUDED = frozenset(host for hosts in sections("excluded_referrers.txt").values() for host in hosts)
"""The hosts that bring nobody, with their subdomains, unless a tenant says otherwise."""


class Exclusions(NamedTuple):
    """What one site leaves out: its own hosts with those its tenant excluded, but not those its tenant wants counted."""

    own: tuple[str, ...] = ()
    counted: frozenset[str] = frozenset()


def brought_nobody(
    referrer: str, page_host: str, own_hosts: Sequence[str], counted: Collection[str] = frozenset()
) -> bool:
    """Whether a referrer is the site itself, or a stop on the way such as a payment or login page."""
    host = host_of(referrer)
    if not host or same_site(host, page_host) or host_matches(host, own_hosts):
        return True
    if counted and host_matches(host, counted):
        return False
    if host_matches(host, EXCLUDED):
        return True
    return host_matches(host, ("facebook.com",)) and "/dialog/" in path_of(referrer) + "/"
