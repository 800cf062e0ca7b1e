"""The control plane as programs see it: inject, heal, list. Synchronous; used by the lab, the command line and runs.

Not here: what the control plane does with it (``services.chaos_control``) or how services hear of it (``agent``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from cloudcart.exceptions import FaultError, LabError

_ADDRESS = "/chaos/faults"


class ControlPlane:
    """A connection to a lab's control plane.

    Args:
        url: of the chaos service, as ``http://127.0.0.1:8004``.
        token_factory: returns a service token for the next request; None where the control plane asks for none.
        timeout: seconds to wait for an answer; injecting takes up to 0.5 s, healing up to 1 s.
    """

    def __init__(self, url: str, token_factory: Callable[[], str] | None = None, *, timeout: float = 10.0) -> None:
        self._token = token_factory
        self._client = httpx.Client(base_url=url, timeout=timeout, trust_env=False)

    def inject(self, document: Mapping[str, object]) -> dict[str, Any]:
        """Make a fault active and return it as the control plane shows it; on return it acts on every live target.

        Raises:
            FaultError: the document makes no sense or its target does not exist; the message names the field.
            LabError: the control plane does not answer.
        """
        shown: dict[str, Any] = self._request("POST", _ADDRESS, dict(document)).json()
        return shown

    def inject_all(self, documents: Sequence[Mapping[str, object]]) -> list[dict[str, Any]]:
        """Make several faults active at the same moment, or none; raises as :meth:`inject`, naming which is wrong."""
        if not documents:
            return []
        shown: list[dict[str, Any]] = self._request("POST", _ADDRESS, [dict(one) for one in documents]).json()
        return shown

    def change(self, fault_id: str, changes: Mapping[str, object]) -> dict[str, Any]:
        """Change some fields of an active fault (RFC 7396: null removes) and return it; raises as :meth:`inject`."""
        shown: dict[str, Any] = self._request("PATCH", f"{_ADDRESS}/{fault_id}", dict(changes)).json()
        return shown

    def heal(self, fault_id: str) -> dict[str, Any]:
        """End one fault and return it with its final counts. Healing twice is the same as once.

        Raises:
            FaultError: there never was a fault with this id.
            LabError: the control plane does not answer.
        """
        shown: dict[str, Any] = self._request("DELETE", f"{_ADDRESS}/{fault_id}").json()
        return shown

    def heal_all(self) -> list[dict[str, Any]]:
        """End every fault and return those that were active, with their final counts."""
        shown: list[dict[str, Any]] = self._request("DELETE", _ADDRESS).json()
        return shown

    def fault(self, fault_id: str) -> dict[str, Any]:
        """Return one fault, active or ended, with counts that are at most a moment old; raises as :meth:`heal`."""
        shown: dict[str, Any] = self._request("GET", f"{_ADDRESS}/{fault_id}").json()
        return shown

    def faults(self) -> list[dict[str, Any]]:
        """Return every fault that the control plane remembers, the newest last."""
        shown: list[dict[str, Any]] = self._request("GET", _ADDRESS).json()
        return shown

    def targets(self) -> list[dict[str, Any]]:
        """Return every process that is connected: service, replica, and the routes that a fault may name."""
        shown: list[dict[str, Any]] = self._request("GET", "/chaos/targets").json()
        return shown

    def close(self) -> None:
        """Close the connection; the faults stay."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _request(self, method: str, path: str, document: object = None) -> httpx.Response:
        headers = {"x-service-token": self._token()} if self._token is not None else {}
        try:
            answer = self._client.request(method, path, json=document, headers=headers)
        except httpx.HTTPError as error:
            raise LabError(f"the control plane at {self._client.base_url} does not answer ({error})") from None
        if answer.is_success:
            return answer
        sentence = _sentence(answer)
        if answer.status_code in (404, 409, 422):
            raise FaultError(sentence)
        raise LabError(f"the control plane refused with {answer.status_code}: {sentence}")


def _sentence(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]
