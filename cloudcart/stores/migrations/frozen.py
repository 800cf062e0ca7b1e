"""What revisions of several services have in common. Frozen: a change of these tables is a new revision."""

from __future__ import annotations

from typing import Final

OUTBOX: Final = """
CREATE TABLE outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id UUID NOT NULL,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL
)
"""
INBOX: Final = """
CREATE TABLE inbox (
    event_id UUID PRIMARY KEY,
    handled_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL
);
CREATE TABLE inbox_watermark (at TIMESTAMP WITH TIME ZONE PRIMARY KEY)
"""
INBOX_BY_AGE: Final = "CREATE INDEX inbox_by_age ON inbox (handled_at)"
"""Of the second revision of those that have an inbox: finds what is to be forgotten."""
