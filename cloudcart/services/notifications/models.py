"""A notification as clients see it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import BaseModel, TypeAdapter


class Notification(BaseModel):
    """Something that a user should know; ``kind`` is the topic of the event behind it."""

    id: int
    kind: str
    message: str
    order_id: int | None
    created_at: datetime


NOTIFICATION_LIST: Final = TypeAdapter(list[Notification])
