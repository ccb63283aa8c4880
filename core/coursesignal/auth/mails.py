"""The texts of account mails: plain, short, each with one thing to do."""

from __future__ import annotations

from typing import NamedTuple

BRAND = "CourseSignal"


class Text(NamedTuple):
    """A mail without its address."""

    subject: str
    body: str


def confirm(link: str) -> Text:
    return Text(
        f"Confirm your e-mail address for {BRAND}",
        f"Welcome to {BRAND}.\n\nConfirm your e-mail address to start:\n{link}\n\n"
        "The link works once, for two days. If you did not sign up, ignore this mail and nothing happens.\n",
    )


def already_known(login: str, reset: str) -> Text:
    return Text(
        f"You already have a {BRAND} account",
        f"Somebody, probably you, signed up for {BRAND} with this address, which has an account already.\n\n"
        f"Log in: {login}\nForgot your password? {reset}\n\nIf it was not you, there is nothing to do.\n",
    )


def reset(link: str) -> Text:
    return Text(
        f"Choose a new {BRAND} password",
        f"Choose a new password here:\n{link}\n\nThe link works once, for 30 minutes, and logs you out everywhere.\n"
        "If you did not ask for it, ignore this mail: your password stays as it is.\n",
    )


def not_confirmed(signup: str) -> Text:
    return Text(
        f"Your {BRAND} account is not confirmed yet",
        f"Somebody, probably you, asked for a new password. This address was never confirmed.\n\nSign up again: {signup}\n",
    )


def password_changed(reset_page: str) -> Text:
    return Text(
        f"Your {BRAND} password was changed",
        "Your password was changed just now, and you were logged out everywhere.\n\n"
        f"If it was not you, take your account back at once: {reset_page}\n",
    )


def session_ended(reset_page: str) -> Text:
    return Text(
        f"We ended one of your {BRAND} sessions",
        "A login of yours was used a second time, as if somebody had copied it. We ended that session; log in again.\n\n"
        f"If this surprises you, choose a new password: {reset_page}\n",
    )


def invitation(team: str, by: str, role: str, link: str) -> Text:
    return Text(
        f"Join {team} on {BRAND}",
        f"{by} invites you to {team} on {BRAND}, as {role}.\n\nAccept the invitation:\n{link}\n\n"
        "The link works once, for seven days. If you do not know the sender, ignore this mail.\n",
    )
