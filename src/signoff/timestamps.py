"""Points in time as they stand in records."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> str:
    """The present instant, ISO 8601 in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
