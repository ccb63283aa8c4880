"""The mails, with examples for preview and test."""

from __future__ import annotations

from coursesignal.plugin import EmailTemplate

FIRST_SALE = EmailTemplate(
    slug="first_sale",
    subject="{{ tenant.name }}: your first sale with a known source",
    template="first_sale",
    example={
        "product": "Watercolour Basics", "amount": "49.00 USD", "source": "youtube", "channel": "organic_video",
        "platform": "Teachable",
    },
)  # fmt: skip
CONNECTION_LOST = EmailTemplate(
    slug="connection_lost",
    subject="{{ tenant.name }}: {{ platform }} needs to be connected again",
    template="connection_lost",
    example={"platform": "Teachable", "reason": "The API key is not valid any more."},
)
TEMPLATES = (FIRST_SALE, CONNECTION_LOST)
