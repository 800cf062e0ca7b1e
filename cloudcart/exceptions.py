"""Every exception that cloudcart raises on purpose, in one tree.

Not here: golden-signal *errors* (failed requests are data, see ``signals``) and faults (causes, see ``faults``). Each
message ends with what to do next; the command line maps each branch to an exit code.

::

    CloudCartError
    ├── UsageError            exit 2   what was asked for cannot be done as written; nothing happened
    │   ├── SchemaError                this version cannot use a database, nor upgrade it; it is as it was
    │   ├── FaultError                 a fault document that makes no sense (unknown kind, bad value, no such target)
    │   ├── UnsupportedError           this lab or backend cannot do it, another one could; tests skip
    │   └── MissingExtraError          an optional dependency is not installed; the message has the command
    ├── LabError              exit 4   the lab could not start, or is not there; what had started was ended again
    │   └── BackendError               this machine lacks what the backend needs
    ├── LoadError             exit 4   the load generator could not run; no verdict is possible
    ├── RefusedError                   a service refuses a request: the status and sentence that the client gets
    │   └── TokenError                 the token of a request cannot be accepted (401)
    ├── AnsweredMeanwhileError         another request for the same effect was quicker; this one was rolled back
    ├── StoreError            exit 4   a store does not answer; definite, unless it says otherwise
    ├── CallerGoneError                the caller left while a fault held its request back; nothing was done
    ├── ConnectionCutError             a fault cuts the connection; for the server, which closes it
    ├── UpstreamError                  a call to another service got no answer
    │   ├── UpstreamUnavailableError   definite: it was never reached, so nothing happened
    │   ├── UpstreamTimeoutError       unknown: no answer in time
    │   └── UpstreamBrokenError        unknown: the connection was cut, or the answer is not HTTP
    ├── MessageRejectedError           a fault rejected a message in its consumer's stead; nothing was handled
    └── OutcomeUnknownError            a call may or may not have had its effect (time-out, cut connection)
"""

from __future__ import annotations


class CloudCartError(Exception):
    """Root of the tree: catch it to catch everything cloudcart raises on purpose."""

    exit_code = 1


class UsageError(CloudCartError):
    """What was asked for cannot be done as written. Definite: nothing was changed."""

    exit_code = 2


class SchemaError(UsageError):
    """A database that this version cannot use as it is, nor upgrade. Definite: the schema it names was not changed."""


class FaultError(UsageError):
    """A fault document that cannot be used; the message names the field. Definite: nothing was injected."""


class UnsupportedError(UsageError):
    """This lab or its backend cannot do what was asked for, another one could; a test is skipped with the sentence."""


class MissingExtraError(UsageError):
    """An optional dependency is missing.

    Args:
        module: the module that could not be imported.
        extra: the extra of this package that installs it.
    """

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f"{module} is not installed; run: pip install 'cloudcart[{extra}]'")


class LabError(CloudCartError):
    """The lab could not start, or is gone. Definite: what had been started was ended."""

    exit_code = 4


class BackendError(LabError):
    """This machine lacks something that the chosen backend needs; the message says how to add it."""


class LoadError(CloudCartError):
    """The load generator could not start or died; there is no measurement to judge."""

    exit_code = 4


class RefusedError(CloudCartError):
    """A service refuses a request. Definite: nothing was changed. ``services.problems`` turns it into the answer.

    Args:
        status: HTTP status of the answer.
        error: one sentence for the person who called.
        extra: further members of the problem document.
    """

    def __init__(self, status: int, error: str, **extra: object) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.extra = extra


class TokenError(RefusedError):
    """A missing or unacceptable token; ``reason`` is one of missing, malformed, signature, expired (a metric label)."""

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(401, error)
        self.reason = reason


class AnsweredMeanwhileError(CloudCartError):
    """Another request for the same effect was quicker. Definite: what this one did was rolled back."""


class StoreError(CloudCartError):
    """A store (PostgreSQL, Redis, Kafka) cannot be reached or gave up; what was asked of it did not happen."""

    exit_code = 4


class CallerGoneError(CloudCartError):
    """The caller went away while a fault held its request back. Definite: the service never saw the request."""


class ConnectionCutError(CloudCartError):
    """A fault cuts a connection by raising this through the application to its server. Nothing is to be done."""


class MessageRejectedError(CloudCartError):
    """A fault rejected a message in its consumer's stead. Definite: it was not handled and may be delivered again."""


class OutcomeUnknownError(CloudCartError):
    """A call whose effect is unknown: it may or may not have happened (time-out or connection cut after sending)."""


class UpstreamError(CloudCartError):
    """A call to another service got no answer; the branches say whether it may have had its effect."""


class UpstreamUnavailableError(UpstreamError):
    """The service could not be reached. Definite: it has not seen the request."""


class UpstreamTimeoutError(UpstreamError, OutcomeUnknownError):
    """The service did not answer in time. Unknown: it may have done what was asked."""


class UpstreamBrokenError(UpstreamError, OutcomeUnknownError):
    """The connection was cut before the answer was complete, or the answer breaks HTTP. Unknown, as a time-out."""
