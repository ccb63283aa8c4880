"""Addresses that tenants enter: nothing but the public internet is reached, whatever it calls itself and wherever it leads."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from coursesignal.errors import ConfigurationError, Invalid
from coursesignal.security.outbound import (
    MAX_ANSWER_BYTES,
    AddressRefused,
    Allowed,
    check_entry,
    checked_url,
    client,
    is_public,
)

INSIDE = (
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1",
    "240.0.0.1", "255.255.255.255", "192.88.99.1", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
    "2001:db8::1", "100::1",
)  # fmt: skip
OUTSIDE = ("93.184.215.14", "8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8")


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_inside_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    host = f"[{address.replace('%', '%25')}]" if ":" in address else address
    with pytest.raises(AddressRefused):
        checked_url(f"https://{host}/hook")


@pytest.mark.parametrize("address", OUTSIDE)
def test_what_is_outside_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@given(
    st.ip_addresses(network="10.0.0.0/8")
    | st.ip_addresses(network="169.254.0.0/16")
    | st.ip_addresses(network="127.0.0.0/8")
)
def test_an_inner_address_is_found_in_each_of_its_ipv6_forms(inner: ipaddress.IPv4Address) -> None:
    number = int(inner)
    for form in (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80, number):
        assert not is_public(ipaddress.IPv6Address(form))


@pytest.mark.parametrize("url", [
    "", "example.com", "http://example.com/", "https://example.com:8443/", "https://user:pw@example.com/", "ftp://example.com/",
    "file:///etc/passwd", "gopher://example.com:70/_x", "https://", "https://[::1", "javascript:alert(1)", "//example.com",
    "https://user@example.com/", "https://example.com:99999/", "https://exa mple.com/", "\x00",
])  # fmt: skip
def test_what_is_no_public_web_address_is_refused_when_it_is_entered(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_entry("webhook.url", url, Allowed())
    assert refused.value.errors[0].path == "webhook.url"
    assert refused.value.errors[0].message.endswith(".")


def test_an_operator_may_allow_more_by_name_or_by_network() -> None:
    allowed = Allowed.parse(["hooks.internal:8443", "localhost:9000", "10.1.0.0/16", "plain.internal"])
    for url in (
        "https://hooks.internal:8443/x",
        "http://localhost:9000/",
        "https://10.1.2.3/",
        "https://plain.internal/",
    ):
        assert str(checked_url(url, allowed)) == url
    for url in ("https://hooks.internal:8444/", "http://localhost:9001/", "https://10.2.0.1/"):
        with pytest.raises(AddressRefused):
            checked_url(url, allowed)
    for entry in ("10.1.0.0/99", "a b", ":80"):
        with pytest.raises(ConfigurationError):
            Allowed.parse([entry])


def naming(answers: dict[str, Sequence[str]], asked: list[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """A resolver that knows these names."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers[host]

    return resolve


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:169.254.169.254"], ["fe80::1%lo"]]
)
async def test_a_name_that_leads_inside_is_refused_whatever_else_it_leads_to(addresses: list[str]) -> None:
    asked: list[str] = []
    async with client(resolve=naming({"rebind.example.com": addresses}, asked)) as http:
        with pytest.raises(AddressRefused):
            await http.get("https://rebind.example.com/")
    assert asked == ["rebind.example.com"]


@pytest.mark.parametrize("host", ["0x7f000001", "2130706433", "0177.0.0.1", "127.1", "localhost", "localhost."])
async def test_odd_spellings_of_an_inner_address_lead_nowhere(host: str) -> None:
    async with client() as http:
        with pytest.raises((AddressRefused, httpx.ConnectError, httpx.InvalidURL)):
            await http.get(f"https://{host}/")


class Server:
    """Answers on 127.0.0.1 with ``answer``, and remembers what was asked."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answer)
        await writer.drain()
        writer.close()


async def served(answer: bytes, tls: ssl.SSLContext | None = None) -> tuple[Server, asyncio.Server]:
    server = Server(answer)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    return server, listening


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture
async def loopback() -> AsyncIterator[Server]:
    server, listening = await served(OK)
    async with listening:
        yield server


async def test_the_connection_goes_to_the_address_that_was_looked_at_under_the_name_that_was_asked_for(
    loopback: Server,
) -> None:
    asked: list[str] = []
    allowed = Allowed.parse([f"hooks.example.test:{loopback.port}"])
    async with client(allowed, resolve=naming({"hooks.example.test": ["127.0.0.1"]}, asked)) as http:
        answer = await http.post(f"http://hooks.example.test:{loopback.port}/x", json={"a": 1})
    assert answer.text == "ok"
    assert asked == ["hooks.example.test"]
    assert f"host: hooks.example.test:{loopback.port}".encode() in loopback.asked[0].lower()


@pytest.mark.parametrize(("answer", "error"), [
    (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n", AddressRefused),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 90000\r\n\r\n" + b"x" * 90_000, httpx.ReadError),
    (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nxx", httpx.ReadError),
    (b"nonsense\r\n\r\n", httpx.RemoteProtocolError),
])  # fmt: skip
async def test_an_answer_that_leads_on_or_has_no_end_is_an_error(answer: bytes, error: type[Exception]) -> None:
    assert MAX_ANSWER_BYTES < 90_000
    server, listening = await served(answer)
    async with listening, client(Allowed.parse([f"127.0.0.1:{server.port}"])) as http:
        with pytest.raises(error):
            await http.get(f"http://127.0.0.1:{server.port}/")


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's TLS, of a certificate for ``name`` that the client trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem, secret)
    return server, ssl.create_default_context(cafile=str(pem))


async def test_the_certificate_must_be_of_the_name_not_of_the_address(tmp_path: Path) -> None:
    server_tls, client_tls = certificate(tmp_path, "hooks.example.test")
    server, listening = await served(OK, server_tls)
    names: dict[str, Sequence[str]] = {"hooks.example.test": ["127.0.0.1"], "other.example.test": ["127.0.0.1"]}
    allowed = Allowed.parse(f"{name}:{server.port}" for name in names)
    async with listening, client(allowed, resolve=naming(names, []), verify=client_tls) as http:
        assert (await http.get(f"https://hooks.example.test:{server.port}/")).text == "ok"
        with pytest.raises(httpx.ConnectError):
            await http.get(f"https://other.example.test:{server.port}/")
