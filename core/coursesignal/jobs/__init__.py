"""Durable work: the outbox is the record, the queue only carries."""
