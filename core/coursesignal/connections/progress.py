"""What a person reads while a sync runs."""

from __future__ import annotations

WAITING = "Waiting to start."


def running(processed: int, total: int | None) -> str:
    """``Syncing 142 purchases… 45/142``, without the total where the platform does not tell it."""
    if total is None:
        return f"Syncing purchases… {processed}"
    return f"Syncing {total} purchases… {min(processed, total)}/{total}"


def waiting(reason: str, seconds: int) -> str:
    """The platform wants us to wait."""
    return f"{reason} Trying again in {seconds} s."


def completed(processed: int, matched: int) -> str:
    """``142 synced, 67 matched``."""
    return f"{processed} synced, {matched} matched"
