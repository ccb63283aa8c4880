"""Stripe's signature: the cases stripe-python is tested with (``tests/test_webhook.py``), and what is stricter here."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime

import pytest

from coursesignal.plugin import WebhookRejected, WebhookRequest
from coursesignal_stripe.connector import StripeConnector
from coursesignal_stripe.settings import StripeCredentials
from coursesignal_stripe.signature import verify

SECRET = "whsec_test_secret"
OTHER = "whsec_the_one_before"
NOW = 1_700_000_000
BODY = (
    b'{"id": "evt_test_webhook", "object": "event", "data": {"object": {"id": "rdr_123", "object": "terminal.reader"}}}'
)

VECTORS = [
    (b'{"id":"evt_0001","object":"event","type":"checkout.session.completed"}',
     "ec8f035c2a41ced32a347502621c31596f7f16c04015783b6336f2afd6b36f2e"),
    ('{"name":"Zoë"}'.encode(), "29f84044a70b11df021fb131e479ff1e1e110b47ba2587cba2c313b576f82849"),
]  # fmt: skip
"""Bodies and their v1 signatures, made apart from this code, under the secret below at 1700000000."""
VECTOR_SECRET = "whsec_coursesignal_example_not_real"


def v1(body: bytes = BODY, at: int = NOW, secret: str = SECRET) -> str:
    """Written out again on purpose: the test must not ask the code what is right."""
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def check(
    header: str | None, body: bytes = BODY, *, now: float = NOW, tolerance: int = 300, secrets: str = SECRET
) -> None:
    verify(body, header, secrets.split(), now, tolerance)


def refused(
    header: str | None, body: bytes = BODY, *, now: float = NOW, secrets: str = SECRET, tolerance: int = 300
) -> str:
    with pytest.raises(WebhookRejected) as caught:
        check(header, body, now=now, secrets=secrets, tolerance=tolerance)
    return str(caught.value)


@pytest.mark.parametrize(("body", "expected"), VECTORS)
def test_a_vector_passes_and_fails_with_any_bit_changed(body: bytes, expected: str) -> None:
    check(f"t={NOW},v1={expected}", body, secrets=VECTOR_SECRET)
    for number in range(0, len(body), 7):
        tampered = body[:number] + bytes([body[number] ^ 1]) + body[number + 1 :]
        refused(f"t={NOW},v1={expected}", tampered, secrets=VECTOR_SECRET)
    for number in range(0, len(expected), 9):
        other = "0" if expected[number] != "0" else "1"
        refused(f"t={NOW},v1={expected[:number]}{other}{expected[number + 1 :]}", body, secrets=VECTOR_SECRET)
    refused(f"t={NOW + 1},v1={expected}", body, secrets=VECTOR_SECRET)


@pytest.mark.parametrize("header", [
    "bad_header", "", "t=,v1=", f"v1={v1()}", f"t=soon,v1={v1()}", f"t=-{NOW},v1={v1()}", f"t=١,v1={v1()}",
    f"t={'9' * 400},v1={v1()}", f"t={NOW}", f"t={NOW},v1=", f"t={NOW},v1=ü", f"t={NOW};v1={v1()}", "," * 10_000,
    f"t={NOW},v1={v1()[:-1]}", f"t={NOW},v1={v1().upper()}",
])  # fmt: skip
def test_a_header_that_is_none_is_refused(header: str) -> None:
    assert refused(header)


def test_a_missing_header_is_refused() -> None:
    assert "missing" in refused(None)


@pytest.mark.parametrize("scheme", ["v0", "v2", "V1", "v1x", "xv1"])
def test_another_scheme_is_no_signature_even_if_its_value_is_right(scheme: str) -> None:
    assert "scheme v1" in refused(f"t={NOW},{scheme}={v1()}")


def test_a_signature_of_another_secret_is_refused() -> None:
    refused(f"t={NOW},v1={v1(secret='whsec_somebody_elses')}")


def test_the_secret_is_the_whole_of_it_with_its_prefix() -> None:
    refused(f"t={NOW},v1={v1(secret=SECRET.removeprefix('whsec_'))}")


def test_one_good_signature_among_bad_ones_is_enough() -> None:
    check(f"t={NOW},v1={'0' * 64},v0={'1' * 64},v1={v1()}")
    check(f" t={NOW} , v1={v1()} ")


def test_while_a_secret_is_replaced_either_is_good() -> None:
    for signed_with in (SECRET, OTHER):
        check(f"t={NOW},v1={v1(secret=signed_with)}", secrets=f"{SECRET} {OTHER}")
    check(f"t={NOW},v1={v1(secret=OTHER)},v1={v1()}", secrets=SECRET)
    assert refused(f"t={NOW},v1={v1()}", secrets=OTHER)


def test_without_a_stored_secret_nothing_is_believed() -> None:
    assert "signing secret" in refused(f"t={NOW},v1={v1()}", secrets="")


@pytest.mark.parametrize(("now", "tolerance", "good"), [
    (NOW, 300, True), (NOW + 300, 300, True), (NOW - 300, 300, True), (NOW + 301, 300, False), (NOW - 301, 300, False),
    (NOW + 15, 10, False), (NOW - 15, 10, False), (NOW + 3600, 3601, True),
])  # fmt: skip
def test_a_time_too_far_from_now_is_refused_whether_past_or_to_come(now: int, tolerance: int, good: bool) -> None:
    if good:
        check(f"t={NOW},v1={v1()}", now=now, tolerance=tolerance)
    else:
        assert "too far from now" in refused(f"t={NOW},v1={v1()}", now=now, tolerance=tolerance)


def test_a_forger_is_not_told_whether_the_time_was_right() -> None:
    assert refused(f"t={NOW - 10_000},v1={'0' * 64}") == refused(f"t={NOW},v1={'0' * 64}")


def request(body: bytes, secret: str = SECRET, at: int = NOW) -> WebhookRequest:
    headers = {"stripe-signature": f"t={at},v1={v1(body, at, secret)}"}
    return WebhookRequest(body=body, headers=headers, query={}, received_at=datetime.fromtimestamp(NOW, UTC))


def credentials(**fields: object) -> StripeCredentials:
    return StripeCredentials(**{"api_key": "rk_live_x", "signing_secret": SECRET, **fields})  # type: ignore[arg-type]


def test_the_connector_measures_against_when_the_webhook_came() -> None:
    connector = StripeConnector()
    connector.verify_webhook(request(BODY), credentials())
    connector.verify_webhook(request(BODY, at=NOW - 299), credentials())
    with pytest.raises(WebhookRejected, match="too far"):
        connector.verify_webhook(request(BODY, at=NOW - 301), credentials())
    connector.verify_webhook(request(BODY, at=NOW - 301), credentials(tolerance_s=302))


def test_the_bytes_count_not_what_they_mean() -> None:
    spaced = BODY.replace(b": ", b":")
    with pytest.raises(WebhookRejected):
        StripeConnector().verify_webhook(
            WebhookRequest(body=spaced, headers=request(BODY).headers, query={}, received_at=request(BODY).received_at),
            credentials(),
        )


def test_a_signed_body_that_is_no_json_is_authentic_and_cannot_be_read() -> None:
    signed = request(b"this is not valid JSON")
    StripeConnector().verify_webhook(signed, credentials())
    with pytest.raises(ValueError, match="malformed"):
        StripeConnector().parse_webhook(signed)


def test_events_of_test_mode_are_refused_unless_the_connection_books_them() -> None:
    signed = request(b'{"id": "evt_1", "type": "charge.succeeded", "livemode": false}')
    with pytest.raises(WebhookRejected, match="test-mode"):
        StripeConnector().verify_webhook(signed, credentials())
    StripeConnector().verify_webhook(signed, credentials(test_payments=True))
