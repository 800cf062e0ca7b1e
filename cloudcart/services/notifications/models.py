"""What clients of the notification worker, and the order service, send and get."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter


class Notification(BaseModel):
    """Something that a user is told."""

    id: int
    user_id: int
    event_type: str
    message: str
    details: dict[str, Any]
    occurred_at: datetime
    created_at: datetime


class Delivery(BaseModel):
    """An event that the order service hands over directly."""

    topic: str
    event: dict[str, Any]


NOTIFICATION_LIST: Final = TypeAdapter(list[Notification])
