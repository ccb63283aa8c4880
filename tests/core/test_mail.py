"""Mails: queued in the transaction that makes them necessary, delivered after it by SMTP or as files, once or given up."""

from __future__ import annotations

import asyncio
import email
import email.policy
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from coursesignal.errors import ConfigurationError, Invalid
from coursesignal.jobs.mail import Mailer, queue_mail
from coursesignal.runtime import Runtime
from coursesignal.testing.live import free_port


@dataclass
class Post:
    """A mail server's insides: what it took, and how it answers."""

    taken: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    """What a recipient's address is answered with instead of 250."""

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.taken.append(message)
        self.recipients += envelope.rcpt_tos
        return "250 taken"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, how: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"p@ss word")


@dataclass(frozen=True)
class MailServer:
    """A real SMTP server on 127.0.0.1."""

    post: Post
    port: int


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    post, port = Post(), free_port()
    controller = Controller(
        post, hostname="127.0.0.1", port=port, authenticator=post.authenticate, auth_require_tls=False
    )
    controller.start()
    yield MailServer(post, port)
    controller.stop()


MakeMailer = Callable[[str | None], Mailer]


@pytest.fixture
def mailer_for(installation: Runtime) -> MakeMailer:
    """``mailer_for("smtp://…")``: delivers this installation's mails there, as its worker would."""

    def make(smtp_url: str | None) -> Mailer:
        settings = msgspec.structs.replace(installation.settings, smtp_url=smtp_url, mail_from="Us <us@example.com>")
        return Mailer(settings, installation.keys, installation.database)

    return make


@dataclass(frozen=True)
class Letter:
    """A mail to queue."""

    to: str = "pat@example.com"
    subject: str = "Grüße"
    text: str = "The link is secret-link."
    html: str | None = None
    key: str = field(default_factory=lambda: secrets.token_hex(8))

    async def queue(self, installation: Runtime) -> None:
        async with installation.database.control() as conn:
            await queue_mail(
                conn, installation.keys, to=self.to, subject=self.subject, text=self.text, html=self.html, key=self.key
            )

    async def row(self, installation: Runtime) -> Any:
        async with installation.database.control() as conn:
            return await conn.fetchrow("select * from mails where dedupe_key = $1", self.key)


async def test_a_mail_is_handed_to_the_server_with_the_login_of_its_address(
    installation: Runtime, mail_server: MailServer, mailer_for: MakeMailer
) -> None:
    letter = Letter(html="<p>Hello</p>")
    await letter.queue(installation)
    mailer = mailer_for(f"smtp://us%40example.com:p%40ss%20word@127.0.0.1:{mail_server.port}")
    assert await mailer.deliver_due() == 1
    (message,) = mail_server.post.taken
    assert mail_server.post.logins == [("us@example.com", "p@ss word")]
    assert mail_server.post.recipients == ["pat@example.com"]
    assert (message["From"], message["To"], message["Subject"]) == ("Us <us@example.com>", "pat@example.com", "Grüße")
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None and text.get_content().strip() == "The link is secret-link."
    assert html is not None and html.get_content().strip() == "<p>Hello</p>"
    row = await letter.row(installation)
    assert row["status"] == "sent" and message["Message-ID"] == f"<{row['id']}@example.com>"


async def test_the_same_key_is_one_mail_and_two_deliverers_send_it_once(
    installation: Runtime, mail_server: MailServer, mailer_for: MakeMailer
) -> None:
    letters = [Letter(subject=str(n)) for n in range(6)]
    for letter in [*letters, *letters]:
        await letter.queue(installation)
    url = f"smtp://127.0.0.1:{mail_server.port}"
    sent = await asyncio.gather(*(mailer_for(url).deliver_due() for _ in range(3)))
    assert sum(sent) == 6
    assert sorted(str(message["Subject"]) for message in mail_server.post.taken) == [str(n) for n in range(6)]


async def test_a_mail_of_a_transaction_that_fails_is_never_sent(
    installation: Runtime, mail_server: MailServer, mailer_for: MakeMailer
) -> None:
    letter = Letter()
    async with installation.database.control() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await queue_mail(conn, installation.keys, to=letter.to, subject="x", text="x", key=letter.key)
        await transaction.rollback()
    assert await letter.row(installation) is None
    assert await mailer_for(f"smtp://127.0.0.1:{mail_server.port}").deliver_due() == 0
    assert mail_server.post.taken == []


async def test_a_recipient_the_server_will_never_take_is_given_up_and_the_others_get_theirs(
    installation: Runtime, mail_server: MailServer, mailer_for: MakeMailer
) -> None:
    gone, fine = Letter(to="gone@example.com"), Letter(to="fine@example.com")
    mail_server.post.answers["gone@example.com"] = "550 gone@example.com is unknown here"
    for letter in (gone, fine):
        await letter.queue(installation)
    assert await mailer_for(f"smtp://127.0.0.1:{mail_server.port}").deliver_due() == 1
    assert mail_server.post.recipients == ["fine@example.com"]
    row = await gone.row(installation)
    assert (row["status"], row["last_error"]) == ("dead", "The mail server refuses the recipient (550).")


async def test_a_server_that_is_busy_or_away_is_asked_again_later(
    installation: Runtime, mail_server: MailServer, mailer_for: MakeMailer
) -> None:
    busy = Letter(to="busy@example.com")
    mail_server.post.answers["busy@example.com"] = "450 come back"
    await busy.queue(installation)
    here = mailer_for(f"smtp://127.0.0.1:{mail_server.port}")
    assert await here.deliver_due() == 0
    row = await busy.row(installation)
    assert (row["status"], row["attempts"], row["last_error"]) == ("pending", 1, "The mail server answers 450.")
    assert await here.deliver_due() == 0, "not before its pause is over"

    await make_due(installation)
    assert await mailer_for(f"smtp://127.0.0.1:{free_port()}").deliver_due() == 0
    row = await busy.row(installation)
    assert (row["status"], row["attempts"]) == ("pending", 2)
    assert "SMTPConnectError" in row["last_error"]

    mail_server.post.answers.clear()
    await make_due(installation)
    assert await here.deliver_due() == 1
    assert mail_server.post.recipients == ["busy@example.com"]


async def test_a_mail_that_fails_eight_times_is_given_up(
    installation: Runtime, mail_server: MailServer, mailer_for: MakeMailer
) -> None:
    letter = Letter(to="busy@example.com")
    mail_server.post.answers["busy@example.com"] = "450 come back"
    await letter.queue(installation)
    mailer = mailer_for(f"smtp://127.0.0.1:{mail_server.port}")
    for _ in range(8):
        await make_due(installation)
        await mailer.deliver_due()
    row = await letter.row(installation)
    assert (row["status"], row["attempts"]) == ("dead", 8)


async def make_due(installation: Runtime) -> None:
    """Let the pauses before further attempts pass."""
    async with installation.database.control() as conn:
        await conn.execute("update mails set run_at = now() where status = 'pending'")


async def test_without_a_server_mails_are_files_that_only_we_can_read(
    installation: Runtime, mailer_for: MakeMailer
) -> None:
    letter = Letter()
    await letter.queue(installation)
    assert await mailer_for(None).deliver_due() == 1
    row = await letter.row(installation)
    path = installation.settings.mail_dir / f"{row['id']}.eml"
    assert path.stat().st_mode & 0o777 == 0o600
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert message["To"] == "pat@example.com"
    assert [file.suffix for file in path.parent.iterdir()] == [".eml"] * len(list(path.parent.iterdir()))


async def test_the_database_never_shows_what_a_mail_says_and_forgets_it_once_sent(
    installation: Runtime, mailer_for: MakeMailer
) -> None:
    letter = Letter(to="secretive@example.com")
    await letter.queue(installation)
    sealed = (await letter.row(installation))["sealed"]
    assert sealed and b"secret-link" not in sealed and b"secretive" not in sealed
    await mailer_for(None).deliver_due()
    row = await letter.row(installation)
    assert row["sealed"] == b"" and "secretive" not in str(dict(row))


@pytest.mark.parametrize(
    "change",
    [
        {"to": "a@example.com\r\nBcc: b@example.com"}, {"subject": "x\nBcc: b@example.com"}, {"subject": ""},
        {"to": "a@example.com\x00"}, {"subject": "a\u2028b"},
    ],
)  # fmt: skip
async def test_what_would_add_headers_is_refused(installation: Runtime, change: dict[str, str]) -> None:
    letter = replace(Letter(), **change)
    with pytest.raises(Invalid):
        await letter.queue(installation)
    assert await letter.row(installation) is None


@pytest.mark.parametrize("url", ["mail.example.com", "http://mail.example.com", "smtp://"])
def test_an_address_that_is_none_is_named(mailer_for: MakeMailer, url: str) -> None:
    with pytest.raises(ConfigurationError, match="COURSESIGNAL_SMTP_URL"):
        mailer_for(url)
