"""``python -m cloudcart.services SERVICE``: one service alone, as in a container, its settings from the environment.

``CLOUDCART_SETTINGS_FILE`` names a JSON document to be used instead, ``CLOUDCART_LISTEN`` another address than every
interface at the service's default port. Not here: several services together (``cloudcart.lab``).
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import Final, get_args

from cloudcart.exceptions import UsageError
from cloudcart.services.serve import listen, serve
from cloudcart.settings import SERVICES, TRAFFIC_PORT, ServiceName, Settings

SETTINGS_FILE: Final = "CLOUDCART_SETTINGS_FILE"
LISTEN: Final = "CLOUDCART_LISTEN"


def service_named(arguments: list[str]) -> ServiceName:
    """Return the service that the command line asks for.

    Raises:
        UsageError: it asks for none, or for one that does not exist.
    """
    for name in get_args(ServiceName):
        if arguments == [name]:
            return name  # type: ignore[no-any-return]
    raise UsageError(f"give one service of {', '.join(SERVICES)}, not {' '.join(arguments) or 'nothing'}")


def read_settings() -> Settings:
    """Return the settings that the environment gives, or the document that it names."""
    if path := os.environ.get(SETTINGS_FILE):
        return Settings(**json.loads(Path(path).read_text()))
    return Settings()


def address_of(service: ServiceName) -> tuple[str, int]:
    """Return where the service is to listen."""
    host, _, port = os.environ.get(LISTEN, f"0.0.0.0:{SERVICES.get(service, TRAFFIC_PORT)}").rpartition(":")
    return host, int(port)


def main() -> None:
    """Serve until a signal asks for the end."""
    try:
        service = service_named(sys.argv[1:])
    except UsageError as error:
        sys.exit(f"Error: {error}")
    gc.set_threshold(10_000)  # requests make garbage but hardly a cycle: the default looks for some every 50 requests
    serve(service, read_settings(), listen(*address_of(service)))


if __name__ == "__main__":
    main()
