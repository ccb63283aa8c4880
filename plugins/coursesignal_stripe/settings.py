"""What a creator enters to connect Stripe."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from coursesignal.plugin import Secret, Settings

TOLERANCE_S = 300


class StripeCredentials(Settings):
    """A restricted API key, and the signing secret of the webhook endpoint once there is one."""

    api_key: Annotated[
        Secret,
        Meta(
            title="Restricted API key",
            pattern="^[!-~]+$",
            max_length=300,
            description="Begins with rk_live_. It only needs to read.",
        ),
    ]
    signing_secret: Annotated[
        Secret,
        Meta(
            title="Signing secret of the webhook endpoint",
            max_length=1000,
            description="Begins with whsec_. Leave it empty at first, and connect again with it once the endpoint is made. "
            "While one is being replaced, enter both with a space between.",
        ),
    ] = ""
    account: Annotated[
        str,
        Meta(
            title="Account id",
            max_length=100,
            pattern="^(acct_[A-Za-z0-9]+)?$",
            description="Begins with acct_. Only needed when we ask for it.",
        ),
    ] = ""
    tolerance_s: Annotated[
        int,
        Meta(
            title="Webhook tolerance in seconds",
            ge=1,
            le=86_400,
            description="How far the time in a webhook's signature may be from ours, into the past and the future.",
        ),
    ] = TOLERANCE_S
    test_payments: Annotated[
        bool, Meta(title="Book test payments", description="For trying things out: test-mode payments count as money.")
    ] = False

    @property
    def signing_secrets(self) -> Sequence[str]:
        """Every secret a webhook may be signed with."""
        return [secret for secret in re.split(r"[\s,;]+", self.signing_secret) if secret]
