"""What clients of the user service send and get. A user never shows a password or its hash."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    model_validator,
)

from cloudcart.services.answers import WHOLE, PlainText


def _fits_bcrypt(password: SecretStr) -> SecretStr:
    if len(password.get_secret_value().encode()) > 72:
        raise ValueError("must have at most 72 bytes")  # what bcrypt looks at
    return password


Username = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=3, max_length=100, pattern=r"^[\w.@+-]+$")
]
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=100, pattern=r"^[^@\s\x00]+@[^@\s\x00]+\.[^@\s\x00]+$"),
]
Password = Annotated[
    SecretStr,
    Field(min_length=8, description="at most 72 bytes", json_schema_extra={"maxLength": 72}),
    AfterValidator(_fits_bcrypt),
]
FullName = Annotated[PlainText, StringConstraints(max_length=100)]


class User(BaseModel):
    """A user as clients see one."""

    id: int
    username: str
    email: str
    full_name: str | None
    is_admin: bool
    created_at: datetime
    updated_at: datetime


class Registration(BaseModel):
    """Somebody registers."""

    username: Username
    email: Email
    password: Password
    full_name: FullName | None = None


class NewUser(Registration):
    """An administrator makes a user."""

    is_admin: Annotated[bool, Field(strict=True)] = False


class Profile(BaseModel):
    """What may be changed of a user; what is left out stays."""

    email: Email | None = None
    full_name: FullName | None = None


class Credentials(BaseModel):
    """Somebody logs in, by user name or by email."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [name], "properties": {name: {"type": "string", "minLength": 1}}}
                for name in ("username", "email")
            ]
        }
    )

    username: Annotated[PlainText, StringConstraints(max_length=100)] | None = None
    email: Annotated[PlainText, StringConstraints(max_length=100)] | None = None
    password: SecretStr

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if not (self.username or self.email):
            raise ValueError("give username or email")
        return self


class LoggedIn(BaseModel):
    """A token and whose it is."""

    token: str
    user: User


class Validated(BaseModel):
    """A good token's user."""

    valid: bool = True
    user: User


class PrepareUsers(BaseModel):
    """A load generator wants users; ``prefix`` begins their names."""

    count: Annotated[int, Field(ge=1, le=20_000), WHOLE]
    prefix: Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[\w.-]+$")] = "load"


class PreparedUser(BaseModel):
    """A user that is logged in already."""

    user_id: int
    username: str
    token: str


USER_LIST: Final = TypeAdapter(list[User])
PREPARED_LIST: Final = TypeAdapter(list[PreparedUser])
