"""From Stripe's objects to what CourseSignal books. Pure.

Every payment is booked under one id, whatever tells of it: that of its payment intent, or of its charge where there is none. A
checkout session, an invoice, its payment and the charge may all tell of the same money, in any order, and it is booked once; an
object that does not name the payment (the session of a subscription, an invoice of a newer API version) is facts alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from coursesignal.plugin import Charge as Paid
from coursesignal.plugin import ChargeKind, Contact, PlatformEvent, PurchaseFacts, RefundTotal
from coursesignal_stripe import evidence
from coursesignal_stripe.amounts import currency_of, minor
from coursesignal_stripe.objects import (
    Charge,
    Dispute,
    Invoice,
    InvoicePayment,
    Link,
    Metadata,
    Payment,
    Person,
    Refund,
    Session,
    Subscription,
    at,
    id_of,
)

TAKEN = frozenset({"needs_response", "under_review", "won", "lost"})
"""Statuses of a dispute whose money the bank has taken; ``warning_…`` are inquiries, ``prevented`` never came to it."""
GAVE_UP = frozenset({"failed", "canceled"})


def money_id(payment_intent: Link, charge: Link) -> str | None:
    """The id a payment is booked under; its refunds and disputes name it too."""
    return id_of(payment_intent) or id_of(charge)


def _keys(*links: Link) -> tuple[str, ...]:
    """Stripe's ids tell their kind and are unique, so they are keys as they are."""
    return tuple(dict.fromkeys(key for key in map(id_of, links) if key))


def charge_events(charge: Charge) -> Sequence[PlatformEvent]:
    """The money of a charge that succeeded and was captured."""
    if charge.status != "succeeded" or not charge.captured:
        return []
    amount = charge.amount if charge.amount_captured is None else charge.amount_captured
    return [
        Paid(
            external_id=money_id(charge.payment_intent, charge.id) or charge.id,
            kind="sale",  # an invoice of the same payment says whether it is a renewal
            amount_minor=minor(amount, currency_of(charge.currency)),
            currency=currency_of(charge.currency),
            occurred_at=at(charge.created),
            purchase_keys=_keys(charge.payment_intent, charge.id, charge.invoice),
            contact=evidence.contact(charge.customer, charge.billing_details, emails=[charge.receipt_email]),
            hints=evidence.hints(charge.metadata),
        )
    ]


def charge_refunded(charge: Charge, told_at: datetime) -> Sequence[PlatformEvent]:
    """A charge that refunds were made of: the refunds themselves where they are told, else how much went back in all."""
    listed = charge.refunds or None
    events = [
        *charge_events(charge),
        *(one for refund in (listed.data if listed else ()) for one in of_charge(refund, charge)),
    ]
    if listed is None or listed.has_more or not listed.data:
        events += _in_all(charge, told_at)
    return events


def _in_all(charge: Charge, told_at: datetime) -> Sequence[PlatformEvent]:
    """How much of a charge went back, unless the sum may hold what was let go of and never captured."""
    currency = currency_of(charge.currency)
    if not charge.captured or not charge.amount_refunded or charge.amount_captured not in (None, charge.amount):
        return []
    return [
        RefundTotal(
            charge_external_id=money_id(charge.payment_intent, charge.id) or charge.id,
            total_minor=minor(charge.amount_refunded, currency),
            currency=currency,
            occurred_at=told_at,
            purchase_keys=_keys(charge.payment_intent, charge.id),
        )
    ]


def of_charge(refund: Refund, charge: Charge) -> Sequence[PlatformEvent]:
    """A refund listed inside its charge, which it need not name."""
    named = Refund(
        id=refund.id, amount=refund.amount, currency=refund.currency, created=refund.created, status=refund.status,
        reason=refund.reason, charge=refund.charge or charge.id,
        payment_intent=refund.payment_intent or charge.payment_intent,
    )  # fmt: skip
    return refund_events(named, at(refund.created))


def refund_events(refund: Refund, told_at: datetime) -> Sequence[PlatformEvent]:
    """A refund under its own id; one that failed went back and came again, under two.

    Nothing for one that waits for the buyer's bank details, that belongs to no payment, or that only lets go of money
    never captured.
    """
    of = money_id(refund.payment_intent, refund.charge)
    if of is None or refund.status == "requires_action" or refund.reason == "expired_uncaptured_charge":
        return []
    keys = _keys(refund.payment_intent, refund.charge)
    went = _reversal("refund", refund.id, refund, of, at(refund.created), keys)
    if refund.status not in GAVE_UP:
        return [went]
    return [went, _reversal("dispute_reversal", f"{refund.id}:failed", refund, of, told_at, keys)]


def dispute_events(dispute: Dispute, told_at: datetime, topic: str = "") -> Sequence[PlatformEvent]:
    """What a dispute took, and gave back when it was won. Stripe lists both movements; where it does not, the status tells."""
    of = money_id(dispute.payment_intent, dispute.charge)
    if of is None:
        return []
    keys = _keys(dispute.payment_intent, dispute.charge)
    back = _given_back(dispute, told_at, topic)
    events = []
    if back is not None or _is_taken(dispute, topic):
        events.append(_reversal("dispute", dispute.id, dispute, of, at(dispute.created), keys))
    if back is not None:
        events.append(_reversal("dispute_reversal", f"{dispute.id}:reinstated", dispute, of, back, keys))
    return events


def _is_taken(dispute: Dispute, topic: str) -> bool:
    moved = dispute.balance_transactions
    listed = dispute.status in TAKEN if moved is None else any(one.amount < 0 for one in moved)
    return topic == "charge.dispute.funds_withdrawn" or listed


def _given_back(dispute: Dispute, told_at: datetime, topic: str) -> datetime | None:
    moved = dispute.balance_transactions
    given = [one for one in moved or () if one.amount > 0]
    if given:
        return at(given[0].created) if given[0].created is not None else told_at
    by_status = moved is None and dispute.status == "won"
    return told_at if by_status or topic == "charge.dispute.funds_reinstated" else None


def _reversal(
    kind: ChargeKind, external_id: str, one: Refund | Dispute, of: str, when: datetime, keys: tuple[str, ...]
) -> Paid:
    currency = currency_of(one.currency)
    return Paid(
        external_id=external_id, kind=kind, amount_minor=minor(one.amount, currency), currency=currency,
        occurred_at=when, purchase_keys=keys, refund_of=of,
    )  # fmt: skip


def session_events(session: Session, paid_at: datetime | None) -> Sequence[PlatformEvent]:
    """A checkout: its money when it was paid at once and names the payment, else who bought what.

    ``paid_at`` is None where the time of payment is not known; the charge, which knows it, books the money then. A subscription's
    first payment is its invoice's.
    """
    keys = _keys(session.id, session.payment_intent, session.invoice, session.subscription)
    buyer = evidence.contact(session.customer, session.customer_details, emails=[session.customer_email])
    hints = evidence.hints(session.metadata, reference=session.client_reference_id, fields=session.custom_fields or ())
    currency = currency_of(session.currency) if session.currency else ""
    items = evidence.items(session.line_items.data, currency) if session.line_items and currency else ()
    when = paid_at or (at(session.created) if session.created is not None else None)
    payment = id_of(session.payment_intent)
    is_paid = session.mode == "payment" and session.payment_status == "paid" and bool(session.amount_total)
    if is_paid and paid_at is not None and payment is not None and session.amount_total:
        paid = Paid(
            external_id=payment, kind="sale", amount_minor=minor(session.amount_total, currency), currency=currency,
            occurred_at=paid_at, purchase_keys=keys, contact=buyer, items=items, hints=hints,
        )  # fmt: skip
        return [paid]
    if when is None or session.mode == "setup":
        return []
    return [PurchaseFacts(purchase_keys=keys, occurred_at=when, contact=buyer, items=items, hints=hints)]


def invoice_events(invoice: Invoice, told_at: datetime) -> Sequence[PlatformEvent]:
    """An invoice that was paid: the payments it names, each under its own id, and who bought what."""
    paid_at = invoice.status_transitions.paid_at if invoice.status_transitions else None
    when = at(paid_at) if paid_at is not None else told_at
    keys = _keys(invoice.id, subscription_of(invoice))
    buyer = invoice_contact(invoice)
    currency = currency_of(invoice.currency)
    hints = evidence.hints(invoice.metadata, *_subscription_metadata(invoice))
    items = evidence.items(invoice.lines.data, currency) if invoice.lines else ()
    facts = PurchaseFacts(purchase_keys=keys, occurred_at=when, contact=buyer, items=items, hints=hints)
    kind = kind_of(invoice)
    return [facts, *(_payment(one, keys, kind, buyer, when) for one in payments_of(invoice) if one.amount_paid)]


def invoice_payment_events(payment: InvoicePayment, told_at: datetime) -> Sequence[PlatformEvent]:
    """A payment of an invoice: the link between the two, with the money."""
    if payment.status != "paid" or not payment.amount_paid or not _named(payment):
        return []
    return [_payment(payment, _keys(payment.invoice), "sale", Contact(), told_at)]


def payments_of(invoice: Invoice) -> Sequence[InvoicePayment]:
    """The payments an invoice names, whichever way its API version does; money paid outside Stripe is none."""
    if invoice.payments is not None:
        return [one for one in invoice.payments.data if one.status == "paid" and _named(one)]
    if invoice.paid_out_of_band or money_id(invoice.payment_intent, invoice.charge) is None:
        return []
    return [
        InvoicePayment(
            id=invoice.id, currency=invoice.currency, amount_paid=invoice.amount_paid,
            payment=Payment(payment_intent=invoice.payment_intent, charge=invoice.charge),
        )
    ]  # fmt: skip


def _named(payment: InvoicePayment) -> str | None:
    return money_id(payment.payment.payment_intent, payment.payment.charge)


def _payment(
    payment: InvoicePayment, keys: tuple[str, ...], kind: ChargeKind, buyer: Contact, told_at: datetime
) -> Paid:
    currency = currency_of(payment.currency)
    paid_at = payment.status_transitions.paid_at if payment.status_transitions else None
    return Paid(
        external_id=_named(payment) or payment.id, kind=kind, amount_minor=minor(payment.amount_paid or 0, currency),
        currency=currency, occurred_at=at(paid_at) if paid_at is not None else told_at,
        purchase_keys=(*_keys(payment.payment.payment_intent, payment.payment.charge), *keys), contact=buyer,
    )  # fmt: skip


def kind_of(invoice: Invoice) -> ChargeKind:
    """A renewal when a subscription goes round; the first payment, an upgrade or a single bill is a sale."""
    return "renewal" if invoice.billing_reason == "subscription_cycle" else "sale"


def subscription_of(invoice: Invoice) -> str | None:
    """The subscription an invoice is for, wherever its API version has it."""
    details = invoice.parent.subscription_details if invoice.parent else None
    return id_of(details.subscription if details and details.subscription else invoice.subscription)


def invoice_contact(invoice: Invoice) -> Contact:
    """The buyer of an invoice."""
    return evidence.contact(invoice.customer, Person(invoice.customer_email, invoice.customer_name))


def _subscription_metadata(invoice: Invoice) -> Sequence[Metadata | None]:
    parents = [invoice.parent.subscription_details if invoice.parent else None, invoice.subscription_details]
    return [details.metadata for details in parents if details is not None]


def subscription_ended(subscription: Subscription, told_at: datetime) -> Sequence[PlatformEvent]:
    """Nothing will be paid on a subscription any more."""
    ended = subscription.ended_at if subscription.ended_at is not None else subscription.canceled_at
    facts = PurchaseFacts(
        purchase_keys=(subscription.id,),
        occurred_at=at(subscription.created) if subscription.created is not None else told_at,
        contact=evidence.contact(subscription.customer),
        hints=evidence.hints(subscription.metadata),
        cancelled_at=at(ended) if ended is not None else told_at,
    )
    return [facts]
