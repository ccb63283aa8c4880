"""Access tokens: short-lived JWTs, one algorithm, every claim required."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt
import msgspec

from coursesignal.errors import Unauthenticated
from coursesignal.security.keys import KeyRing

ALGORITHM = "HS256"
ISSUER = "coursesignal"
AUDIENCE = "coursesignal-api"
TYPE = "at+jwt"
LIFETIME = timedelta(minutes=15)
LEEWAY = timedelta(seconds=10)
_SHAPE = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
"""The library also reads padding, which would give one token several spellings."""
_REQUIRED = ["exp", "iat", "iss", "aud", "sub", "jti", "sid"]


class AccessToken(msgspec.Struct, frozen=True):
    """What an access token says."""

    user_id: UUID
    session_id: UUID


def issue(keys: KeyRing, user_id: UUID, session_id: UUID) -> str:
    """A token good for LIFETIME; ends with its session at the latest check."""
    now = datetime.now(UTC)
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(user_id),
        "sid": str(session_id),
        "jti": str(uuid4()),
        "iat": now,
        "exp": now + LIFETIME,
    }
    return jwt.encode(claims, keys.jwt_key, algorithm=ALGORITHM, headers={"typ": TYPE})


def verify(keys: KeyRing, token: str) -> AccessToken:
    """What ``token`` says; raises Unauthenticated with one text for whatever is wrong with it."""
    try:
        if not _SHAPE.fullmatch(token) or jwt.get_unverified_header(token).get("typ") != TYPE:
            raise Unauthenticated
        claims = jwt.decode(
            token,
            keys.jwt_key,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            leeway=LEEWAY,
            options={"require": _REQUIRED},
        )
        return AccessToken(UUID(claims["sub"]), UUID(claims["sid"]))
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
        raise Unauthenticated from error
