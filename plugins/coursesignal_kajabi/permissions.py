"""Which permission of a key each list needs, and what to say when it is missing.

Kajabi documents these names with its hooks; which one customers and offers need it does not say, so the nearest is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

NEEDED: Mapping[str, str] = {
    "/v1/transactions": "view:transactions",
    "/v1/purchases": "view:purchases",
    "/v1/orders": "view:orders",
    "/v1/order_items": "view:orders",
    "/v1/customers": "view:contacts",
    "/v1/offers": "view:purchases",
}
HOW = "Edit the key's permissions in Settings > Public API, or make it as the account's owner. Then connect again."


def permission_of(path: str) -> str | None:
    """The permission for a list or for one of its resources, where its name is known."""
    return next((name for start, name in NEEDED.items() if path == start or path.startswith(f"{start}/")), None)


def lacking(paths: Iterable[str], words: str) -> str:
    """That the key may not read these, which permission gives it, and where: in words for the creator."""
    names = list(dict.fromkeys(filter(None, map(permission_of, paths))))
    missing = f"The key lacks {' and '.join(names)}." if names else "The key may not do this."
    return f"Kajabi says: {words} {missing} {HOW}"
