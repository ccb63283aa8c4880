"""JSON Lines: one JSON object per line."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Sequence

import msgspec

from coursesignal.plugin import Exporter


class JsonLines(Exporter):
    """One object per row, keyed by column."""

    slug = "jsonl"
    media_type = "application/jsonl"
    suffix = ".jsonl"

    async def export(self, columns: Sequence[str], rows: AsyncIterable[Sequence[object]]) -> AsyncIterator[bytes]:
        async for row in rows:
            yield msgspec.json.encode(dict(zip(columns, row, strict=True))) + b"\n"
