"""The demo: an invented agency with two shops, their history, live traffic, and an independent ledger to check every number."""
