"""Calls from the lab's handle to its services, on their own ports: internal routes and log-ins.

Standard library only, so that a pytest process stays light. Not here: faults (``chaos.client``), shoppers (``load``).
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from cloudcart.exceptions import LabError

_TIMEOUT = 10.0  # seconds


def post(url: str, path: str, body: Mapping[str, object], headers: Mapping[str, str]) -> Any:
    """Post JSON to a service and return the JSON of its answer; None when the answer has no body.

    Raises:
        LabError: it does not answer, or with an error.
    """
    try:
        status, content = call("POST", url, path, json.dumps(body), {"content-type": "application/json", **headers})
    except (OSError, http.client.HTTPException) as error:
        raise LabError(f"{url}{path} does not answer ({error}); 'cloudcart status' shows the lab") from None
    if status >= 300:
        raise LabError(f"{url}{path} answered {status}: {content[:300].decode(errors='replace')}")
    return json.loads(content) if content else None


def call(method: str, url: str, path: str, body: str | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """Return status and body of an answer, whatever they are; raises OSError or HTTPException where there is none."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def post_to_all(urls: Mapping[str, str], path: str, headers: Mapping[str, str]) -> None:
    """Post an empty JSON object to the same path of several services at once.

    Raises:
        LabError: one did not do it; the others were asked all the same.
    """
    with ThreadPoolExecutor(max(1, len(urls))) as threads:
        list(threads.map(lambda url: post(url, path, {}, headers), urls.values()))
