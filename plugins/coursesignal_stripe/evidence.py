"""What a payment says of its buyer besides money: who they are, which visitor they were, what they bought. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from coursesignal.plugin import Contact, Item
from coursesignal_stripe.amounts import minor
from coursesignal_stripe.objects import Field, Line, Link, Metadata, Person, id_of

VISITOR_KEYS = ("coursesignal_visitor", "cs_visitor")
"""Metadata that carries the tracker's visitor id; ``client_reference_id`` does so too."""
SURVEY_KEYS = frozenset({"selfreported", "howdidyouhear", "howdidyouhearofus", "howdidyouhearaboutus", "survey"})
"""Keys of custom fields that ask where a buyer comes from; Stripe allows letters and digits in them."""

MOST = 1_000_000
"""Metered usage is told as a quantity too, and may be any number."""


def contact(customer: Link, *people: Person | None, emails: Iterable[str | None] = ()) -> Contact:
    """The buyer, from the first place that names them."""
    given = [person for person in people if person is not None]
    addresses = [email_of(text) for text in [*(person.email for person in given), *emails]]
    return Contact(
        email=next((address for address in addresses if address), None),
        external_id=id_of(customer),
        name=next((person.name.strip() for person in given if person.name and person.name.strip()), None),
    )


def email_of(text: str | None) -> str | None:
    """An e-mail address, None for what is none."""
    address = (text or "").strip()
    return address if "@" in address else None


def hints(*metadata: Metadata | None, reference: str | None = None, fields: Sequence[Field] = ()) -> Mapping[str, str]:
    """The visitor a payment names, and what the buyer answered."""
    named = [reference, *(one.get(key) for one in metadata if one for key in VISITOR_KEYS)]
    visitor = next((found for found in map(visitor_of, named) if found), None)
    told = {"visitor_id": visitor, "self_reported": _answer(fields)}
    return {name: text for name, text in told.items() if text}


def visitor_of(text: object) -> str | None:
    """A visitor id as the tracker makes them; a creator's own reference is none."""
    if not isinstance(text, str) or len(text) != 36:
        return None
    try:
        return str(UUID(text))
    except ValueError:
        return None


def _answer(fields: Sequence[Field]) -> str | None:
    for field in fields:
        given = field.text or field.dropdown
        if field.key.lower() in SURVEY_KEYS and given is not None and given.value:
            return given.value[:200]
    return None


def items(lines: Sequence[Line], currency: str) -> tuple[Item, ...]:
    """What was bought, one item per product; lines without a price, such as a proration's rest, stand for themselves."""
    return tuple(
        Item(
            external_id=_product_of(line) or line.id,
            title=(line.description or "").strip() or f"Product {_product_of(line) or line.id}",
            quantity=min(line.quantity or 1, MOST),
            amount_minor=_amount_of(line, currency),
        )
        for line in lines
    )


def _product_of(line: Line) -> str | None:
    price, details = line.price, line.pricing.price_details if line.pricing else None
    named = [id_of(price.product) if price else None, details.product if details else None, price.id if price else None]
    return next((name for name in named if name), None)


def _amount_of(line: Line, currency: str) -> int | None:
    amount = line.amount if line.amount_total is None else line.amount_total
    return minor(amount, currency) if amount is not None and amount >= 0 else None
