"""The consent flow: authorization code with PKCE (S256). The state is single-use, good for 10 minutes, and bound to the session,
the tenant and the platform it was made for."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from coursesignal.connections.context import platform_address
from coursesignal.connections.house import House
from coursesignal.db.ids import uuid7
from coursesignal.errors import BadRequest, Busy
from coursesignal.plugin import AuthFailed, ConsentConnector, ConsentRequest, Settings, Tenant, Unavailable
from coursesignal.security.box import aad
from coursesignal.security.tokens import hash_token, new_token

LIFETIME = timedelta(minutes=10)
_STATE = re.compile(r"[0-9a-f]{32}[A-Za-z0-9_-]{20,100}")
REFUSED = "This consent cannot be completed. Start again from the platform's connect page."


@dataclass(frozen=True, slots=True)
class Started:
    """A consent that came back: whose it is, and what completes it."""

    tenant_id: UUID
    user_id: UUID
    request: ConsentRequest


def redirect_uri(house: House, platform: str) -> str:
    """Where the platform sends the person back to; exactly this is registered there."""
    return f"{house.settings.base_url}/api/{platform}/callback"


async def begin(
    house: House, tenant: Tenant, connector: ConsentConnector[Any], *, session_id: UUID, user_id: UUID
) -> str:
    """The platform's consent page for this session; a new state each time."""
    request = new_request(tenant.id, redirect_uri(house, connector.slug))
    consent_id = uuid7()
    sealed = house.keys.box.seal(request.verifier.encode(), aad(tenant.id, "consents", "verifier", consent_id))
    async with house.db.tenant(tenant.id) as conn:
        await conn.execute("delete from consents where tenant_id = $1 and expires_at < now()", tenant.id)
        await conn.execute(
            "insert into consents (tenant_id, id, platform, state_hash, session_id, user_id, verifier, expires_at) "
            "values ($1, $2, $3, $4, $5, $6, $7, now() + $8)",
            tenant.id, consent_id, connector.slug, hash_token(request.state), session_id, user_id, sealed, LIFETIME,
        )  # fmt: skip
    return connector.authorize_url(request, platform_address(house, connector))


def new_request(tenant_id: UUID, uri: str) -> ConsentRequest:
    """A round of the flow: an unguessable state that says where to look for it, and a PKCE pair."""
    verifier = new_token()
    challenge = challenge_of(verifier)
    return ConsentRequest(
        state=f"{tenant_id.hex}{new_token()}", redirect_uri=uri, challenge=challenge, verifier=verifier
    )


def challenge_of(verifier: str) -> str:
    """RFC 7636, method S256."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


async def take(house: House, platform: str, state: str, session_id: UUID | None) -> Started:
    """Use up a state. Raises BadRequest, one text for unknown, used, expired, another platform's or another session's."""
    if session_id is None or not _STATE.fullmatch(state):
        raise BadRequest(REFUSED, kind="consent-refused")
    tenant_id = UUID(state[:32])
    async with house.db.tenant(tenant_id) as conn:
        row = await conn.fetchrow(
            "delete from consents where tenant_id = $1 and state_hash = $2 and platform = $3 and session_id = $4 "
            "and expires_at > now() returning id, verifier, user_id",
            tenant_id, hash_token(state), platform, session_id,
        )  # fmt: skip
    if row is None:
        raise BadRequest(REFUSED, kind="consent-refused")
    verifier = house.keys.box.open(row["verifier"], aad(tenant_id, "consents", "verifier", row["id"])).decode()
    request = ConsentRequest(
        state=state, redirect_uri=redirect_uri(house, platform), challenge=challenge_of(verifier), verifier=verifier
    )
    return Started(tenant_id, row["user_id"], request)


async def exchange(
    house: House, tenant: Tenant, connector: ConsentConnector[Any], request: ConsentRequest, code: str
) -> Settings:
    """The credentials the platform gives for the code. Raises BadRequest in its own words, Busy."""
    base, address = house.contexts(tenant, connector.slug), platform_address(house, connector)
    base.http.base_url = address
    try:
        return await connector.exchange_code(base, request, code, address)  # type: ignore[no-any-return]
    except AuthFailed as error:
        raise BadRequest(REFUSED, detail=str(error), kind="consent-refused") from error
    except Unavailable as error:
        raise Busy(f"{connector.name} cannot be reached now.", detail=str(error), retry_after_s=30) from error
