"""How the fake Kajabi behaves where the documentation contradicts itself or is silent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from coursesignal.testing.platforms.kajabi_pages import Paging
from coursesignal.testing.platforms.server import Quirks


@dataclass(slots=True)
class KajabiQuirks(Quirks):
    """What this Kajabi does; the defaults are what most of its pages say."""

    paging: Paging = "links"
    clamps_pages: bool = False
    """Past the last page comes the last page again, and not an empty one."""
    max_page_size: int = 100
    integer_ids: bool = False
    """Ids of pushed resources as integers."""
    positive_refunds: bool = False
    """Refund amounts without a minus sign."""
    ignores_dates: bool = False
    """The date filter of transactions does nothing (reported by a client)."""
    ignores_filters: bool = False
    """The filters of purchases and orders do nothing."""
    ignores_customers: bool = False
    """So does the customer filter of transactions."""
    lists_everything: bool = False
    """Transactions list free, test, failed and pending ones too (reported by a client; the documents say they do not)."""
    links_purchases: bool = True
    """Transactions name their purchases (since 10 June 2026); before only offer and customer."""
    names_transactions: bool = True
    """Purchases name their transactions."""
    names_offers: bool = True
    """Transactions name their offer (deprecated, null for several)."""
    orders_name_payments: bool = False
    """Orders name their transactions; seen in a webhook's sample alone."""
    tells_plans: bool = False
    """Purchases tell how many payments there will be: in prose, not in the schema."""
    counts_all_payments: bool = False
    """``multipay_payments_made`` is told of every purchase, not of plans alone."""
    instalments_as: Literal["charge", "subscription_charge"] = "subscription_charge"
    """The action of a plan's later payments."""
    cancelling_is_a_change: bool = True
    """A purchase that is deactivated has a new ``updated_at``."""
    pushes: tuple[str, ...] = ("payment_succeeded", "purchase", "order_created")
    """API events one sale raises."""
    ui_webhooks: bool = False
    """Push the UI's webhooks (``purchase.created``, ``payment.succeeded``) instead of the API's hooks."""
    nests_purchase_created: bool = False
    """``purchase.created`` in groups, as a newer help page lists them."""
    own_ui_ids: bool = False
    """The UI's webhooks count transactions in numbers of their own."""
    lacks: tuple[str, ...] = ()
    """Permissions the key was not given, such as ``view:orders``."""
    refuses_hooks: bool = False
    """The key may not make hooks: 403."""
    refuses_hooks_for: tuple[str, ...] = ()
    """Events for which the key may not make hooks."""
