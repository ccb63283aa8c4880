"""Keys, sealed fields, passwords and tokens."""

from __future__ import annotations

import base64
import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt as pyjwt
import pytest

from coursesignal.errors import ConfigurationError, Unauthenticated
from coursesignal.security import jwt
from coursesignal.security.box import CannotOpen, aad
from coursesignal.security.keys import KeyRing
from coursesignal.security.passwords import hash_password, needs_rehash, verify_password, weakness
from coursesignal.security.tokens import hash_token, new_token
from coursesignal.settings import Settings

OLD, NEW = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))


def ring(tmp_path: Path, secret_keys: str | None = None) -> KeyRing:
    return KeyRing.load(Settings(home=tmp_path, secret_keys=secret_keys))


def test_keys_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    first, again = ring(tmp_path), ring(tmp_path)
    assert first.jwt_key == again.jwt_key
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert len(json.loads((tmp_path / "keys.json").read_text())["keys"]) == 1


def test_every_purpose_has_a_key_of_its_own(tmp_path: Path) -> None:
    keys = ring(tmp_path)
    assert len({keys.jwt_key, keys.database_secret, keys.hash_key}) == 3
    assert keys.sign("csrf", b"x") != keys.sign("other", b"x")


@pytest.mark.parametrize("bad", ["1", "one:" + OLD, "1:short", "1:" + base64.b64encode(b"short").decode(), "1:???"])
def test_keys_of_the_environment_that_cannot_be_used_are_named(tmp_path: Path, bad: str) -> None:
    with pytest.raises(ConfigurationError, match="COURSESIGNAL_SECRET_KEYS"):
        ring(tmp_path, bad)


def test_a_sealed_value_opens_only_where_it_belongs(tmp_path: Path) -> None:
    box = ring(tmp_path).box
    tenant, row = uuid4(), uuid4()
    sealed = box.seal(b"secret", aad(tenant, "connections", "credentials", row))
    assert box.open(sealed, aad(tenant, "connections", "credentials", row)) == b"secret"
    for elsewhere in (
        aad(uuid4(), "connections", "credentials", row),
        aad(tenant, "mails", "credentials", row),
        aad(tenant, "connections", "sealed_key", row),
        aad(tenant, "connections", "credentials", uuid4()),
    ):
        with pytest.raises(CannotOpen):
            box.open(sealed, elsewhere)


def test_a_changed_or_foreign_value_does_not_open(tmp_path: Path) -> None:
    box = ring(tmp_path).box
    place = aad(None, "t", "c", 1)
    sealed = box.seal(b"secret", place)
    for changed in (
        b"",
        b"\x01",
        sealed[:-1],
        sealed[:-1] + bytes([sealed[-1] ^ 1]),
        b"\x02" + sealed[1:],
        b"\x01" * 60,
    ):
        with pytest.raises(CannotOpen):
            box.open(changed, place)
    with pytest.raises(CannotOpen):
        ring(tmp_path / "elsewhere").box.open(sealed, place)


def test_after_a_rotation_old_values_open_and_new_ones_use_the_new_key(tmp_path: Path) -> None:
    before, after = ring(tmp_path, f"1:{OLD}"), ring(tmp_path, f"2:{NEW},1:{OLD}")
    place = aad(None, "t", "c", 1)
    old = before.box.seal(b"secret", place)
    assert after.box.open(old, place) == b"secret"
    assert after.box.stale(old)
    renewed = after.box.seal(b"secret", place)
    assert not after.box.stale(renewed)
    with pytest.raises(CannotOpen):
        before.box.open(renewed, place)
    assert after.jwt_key == before.jwt_key, "sessions survive a rotation"


async def test_passwords_are_argon2id_and_nobody_has_none() -> None:
    stored = await hash_password("correct horse battery")
    assert stored.startswith("$argon2id$")
    assert await verify_password(stored, "correct horse battery")
    assert not await verify_password(stored, "correct horse batterz")
    assert not await verify_password(None, "nobody's password")
    assert not await verify_password("no hash at all", "x")
    assert not needs_rehash(stored)
    assert needs_rehash("$argon2id$v=19$m=4096,t=1,p=1$c2FsdHNhbHQ$" + "A" * 43)


@pytest.mark.parametrize(
    "password", ["", "short", "password123", "Password123", "aaaaaaaaaaaa", "1234567890", "x" * 2000]
)
def test_weak_passwords_are_refused_with_a_reason(password: str) -> None:
    assert weakness(password)


def test_a_pass_phrase_is_good() -> None:
    assert weakness("a long enough pass phrase") is None
    assert weakness("пароль-на-русском") is None


def test_tokens_are_long_and_their_hash_is_what_is_kept() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100 and min(map(len, tokens)) >= 43
    assert len(hash_token("x")) == 32


CLAIMS: dict[str, Any] = {"iss": jwt.ISSUER, "aud": jwt.AUDIENCE, "sub": str(uuid4()), "sid": str(uuid4()), "jti": "1"}


def forged(keys: KeyRing, drop: str = "", typ: str | None = jwt.TYPE, algorithm: str = "HS256", **changes: Any) -> str:
    now = datetime.now(UTC)
    claims = {**CLAIMS, "iat": now, "exp": now + timedelta(minutes=5), **changes}
    claims.pop(drop, None)
    headers = {"typ": typ} if typ else {"typ": "JWT"}
    return pyjwt.encode(claims, keys.jwt_key if algorithm != "none" else "", algorithm=algorithm, headers=headers)


def test_an_access_token_says_who_and_which_session(tmp_path: Path) -> None:
    keys, user, session = ring(tmp_path), uuid4(), uuid4()
    found = jwt.verify(keys, jwt.issue(keys, user, session))
    assert (found.user_id, found.session_id) == (user, session)
    assert jwt.verify(keys, forged(keys)).user_id


@pytest.mark.parametrize("claim", ["exp", "iat", "iss", "aud", "sub", "jti", "sid"])
def test_a_token_without_a_required_claim_is_refused(tmp_path: Path, claim: str) -> None:
    keys = ring(tmp_path)
    with pytest.raises(Unauthenticated):
        jwt.verify(keys, forged(keys, drop=claim))


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_every_other_token_is_refused_with_one_text(tmp_path: Path) -> None:
    keys, past = ring(tmp_path), datetime.now(UTC) - timedelta(hours=1)
    other = ring(tmp_path / "other")
    good = forged(keys)
    bad = [
        "", "x", "a.b.c", good[:-4] + "AAAA", good + "=", good + ".x",
        forged(keys, algorithm="none"), forged(keys, algorithm="HS384"), forged(other),
        forged(keys, typ=None), forged(keys, typ="refresh"),
        forged(keys, exp=past), forged(keys, nbf=datetime.now(UTC) + timedelta(hours=1)),
        forged(keys, iss="somebody"), forged(keys, aud="other"), forged(keys, sub="1"), forged(keys, sid=7),
    ]  # fmt: skip
    for token in bad:
        with pytest.raises(Unauthenticated) as refused:
            jwt.verify(keys, token)
        assert refused.value.title == Unauthenticated.default_title, token
