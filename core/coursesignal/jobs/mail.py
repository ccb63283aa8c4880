"""Mails: put on record in the transaction that makes them necessary, sealed; delivered after it, retried, sent once.

A mail's Message-ID and its file name come from its row's id: a crash between sending and marking it sent repeats the same mail,
which a file system and a mail reader recognise.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import UUID

import aiosmtplib
import asyncpg
import msgspec

from coursesignal.db.engine import Database
from coursesignal.db.ids import uuid7
from coursesignal.errors import ConfigurationError, CourseSignalError, FieldError, Invalid
from coursesignal.jobs.retries import pause_s, reason
from coursesignal.security.box import aad
from coursesignal.security.keys import KeyRing
from coursesignal.settings import Settings

log = logging.getLogger("coursesignal.mail")

CHANNEL = "coursesignal_mails"
MAX_ATTEMPTS = 8
LEASE_S = 120.0
"""Longer than a server may take to accept one mail."""
SMTP_TIMEOUT_S = 30.0
PORTS = {"smtp": 587, "smtps": 465}

INSERT = """
    insert into mails (id, tenant_id, dedupe_key, sealed, run_at) values ($1, $2, $3, $4, clock_timestamp())
    on conflict (dedupe_key) do nothing returning id
"""
LEASE = """
    update mails set lease_token = gen_random_uuid(), lease_until = clock_timestamp() + make_interval(secs => $1),
        attempts = attempts + 1
    where id = (
        select id from mails where status = 'pending' and run_at <= clock_timestamp()
            and (lease_until is null or lease_until < clock_timestamp())
        order by run_at limit 1 for update skip locked
    )
    returning id, tenant_id, sealed, attempts, lease_token, created_at
"""
SENT = """
    update mails set status = 'sent', sent_at = clock_timestamp(), sealed = ''::bytea, lease_token = null, lease_until = null,
        last_error = null
    where id = $1 and lease_token = $2
"""
FAILED = """
    update mails set status = case when $3 then 'dead' else 'pending' end, last_error = $4, lease_token = null,
        lease_until = null, run_at = clock_timestamp() + make_interval(secs => $5)
    where id = $1 and lease_token = $2
"""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What is sealed in a mail's row."""

    to: str
    subject: str
    text: str
    html: str | None = None


class LeasedMail(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is ours to deliver."""

    id: UUID
    tenant_id: UUID | None
    sealed: bytes
    attempts: int
    lease_token: UUID
    created_at: datetime


class RecipientRefused(CourseSignalError):
    """The server will never take this mail; trying again is pointless."""


async def queue_mail(
    conn: asyncpg.Connection,
    keys: KeyRing,
    *,
    to: str,
    subject: str,
    text: str,
    html: str | None = None,
    key: str,
    tenant_id: UUID | None = None,
) -> None:
    """Have a mail sent once this transaction has committed; the same ``key`` is sent once.

    Raises Invalid for a recipient or subject that would add headers.
    """
    _one_line("to", to)
    _one_line("subject", subject)
    mail_id = uuid7()
    letter = msgspec.json.encode(Letter(to=to, subject=subject, text=text, html=html))
    sealed = keys.box.seal(letter, aad(tenant_id, "mails", "sealed", mail_id))
    if await conn.fetchval(INSERT, mail_id, tenant_id, key, sealed) is not None:
        await conn.execute(f"notify {CHANNEL}")


def _one_line(field: str, value: str) -> None:
    if not value or any(ord(c) < 32 or c in "\x7f\x85\u2028\u2029" for c in value):
        raise Invalid("This mail cannot be sent.", errors=[FieldError(field, "One line without control characters.")])


class Mailer:
    """Delivers queued mails: to ``settings.smtp_url``, or as .eml files under ``settings.mail_dir``."""

    def __init__(self, settings: Settings, keys: KeyRing, database: Database) -> None:
        self._settings = settings
        self._keys = keys
        self._database = database
        self._post: Mailbox | Server = (
            Mailbox(settings.mail_dir) if settings.smtp_url is None else Server(settings.smtp_url)
        )
        self._soon: asyncio.Task[None] | None = None
        self._asked = False

    def deliver_soon(self) -> None:
        """Deliver in the background what is due now; a running delivery looks once more."""
        self._asked = True
        if self._soon is None or self._soon.done():
            self._soon = asyncio.create_task(self._deliver_quietly(), name="deliver mails")

    async def deliver_due(self) -> int:
        """Try every due mail once and return how many were sent; failures are kept for later.

        What is being delivered in the background is waited for.
        """
        if self._soon is not None and not self._soon.done():
            await asyncio.wait([self._soon])
        return await self._deliver_all()

    async def _deliver_all(self) -> int:
        sent = 0
        while (mail := await self._lease()) is not None:
            sent += await self._deliver(mail)
        return sent

    async def _deliver_quietly(self) -> None:
        try:
            while self._asked:
                self._asked = False
                await self._deliver_all()
        except Exception as error:
            log.warning("mails wait, the database does not answer: %s", reason(error))

    async def _lease(self) -> LeasedMail | None:
        async with self._database.control() as conn:
            row = await conn.fetchrow(LEASE, LEASE_S)
        return None if row is None else LeasedMail(**dict(row))

    async def _deliver(self, mail: LeasedMail) -> bool:
        try:
            await self._post.send(mail.id, self._message(mail))
        except Exception as error:  # whatever is wrong with one mail must not keep the others
            await self._failed(mail, error)
            return False
        async with self._database.control() as conn:
            await conn.execute(SENT, mail.id, mail.lease_token)
        return True

    async def _failed(self, mail: LeasedMail, error: Exception) -> None:
        dead = mail.attempts >= MAX_ATTEMPTS or isinstance(error, RecipientRefused)
        pause = pause_s(mail.attempts)
        later = "given up" if dead else f"again in {pause:.0f} s"
        problem = _problem(error)
        log.warning("mail %s could not be sent (attempt %d, %s): %s", mail.id, mail.attempts, later, problem)
        async with self._database.control() as conn:
            await conn.execute(FAILED, mail.id, mail.lease_token, dead, problem, pause)

    def _message(self, mail: LeasedMail) -> EmailMessage:
        opened = self._keys.box.open(mail.sealed, aad(mail.tenant_id, "mails", "sealed", mail.id))
        letter = msgspec.json.decode(opened, type=Letter)
        sender = self._settings.mail_from
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = sender, letter.to, letter.subject
        message["Date"] = format_datetime(mail.created_at)
        message["Message-ID"] = f"<{mail.id}@{parseaddr(sender)[1].rpartition('@')[2] or 'localhost'}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter.text)
        if letter.html is not None:
            message.add_alternative(letter.html, subtype="html")
        return message


def _problem(error: Exception) -> str:
    """What went wrong, without the server's words: they quote addresses."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return f"The mail server answers {', '.join(sorted({str(refused.code) for refused in error.recipients}))}."
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"The mail server answers {error.code}."
    if isinstance(error, aiosmtplib.SMTPException):
        return f"The mail server cannot be used ({type(error).__name__})."
    return reason(error)


class Mailbox:
    """A folder of .eml files, for who has no mail server: one file per mail, in the order they were queued."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def send(self, mail_id: UUID, message: EmailMessage) -> None:
        path = self.folder / f"{mail_id}.eml"
        await asyncio.to_thread(self._write, path, message.as_bytes())
        log.info("mail written to %s", path)

    def _write(self, path: Path, content: bytes) -> None:
        """Write beside and move into place: a reader sees the whole mail or none, a second writer changes nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.draft")
        try:
            draft.touch(mode=0o600)
            draft.write_bytes(content)
            draft.replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                draft.unlink()


class Server:
    """A mail server, as an smtp:// or smtps:// address says; STARTTLS where it is offered."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ConfigurationError("COURSESIGNAL_SMTP_URL must read smtp://user:password@host:port or smtps://….")
        self._host = parts.hostname
        self._port = parts.port or PORTS[parts.scheme]
        self._tls = parts.scheme == "smtps"
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None

    async def send(self, mail_id: UUID, message: EmailMessage) -> None:
        try:
            await aiosmtplib.send(
                message, hostname=self._host, port=self._port, username=self._user, password=self._password,
                use_tls=self._tls, timeout=SMTP_TIMEOUT_S,
            )  # fmt: skip
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [refused.code for refused in error.recipients]
            if all(code >= 500 for code in codes):
                raise RecipientRefused(f"The mail server refuses the recipient ({codes[0]}).") from error
            raise
        log.info("mail %s handed to %s", mail_id, self._host)
