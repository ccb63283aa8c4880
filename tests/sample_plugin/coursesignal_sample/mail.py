"""The mail the plugin sends."""

from __future__ import annotations

from coursesignal.plugin import EmailTemplate

GREETING = EmailTemplate(
    slug="greeting",
    subject="{{ name }}, a greeting from {{ tenant.name }}",
    template="greeting",
    example={"name": "Pat", "notes": []},
)
