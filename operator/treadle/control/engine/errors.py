"""What can end a pass early: the two errors that become conditions, and the answers of the API server that do not."""

from treadle.api.reasons import Reason


class Wait(Exception):
    """The world must act; the pass looks again after `after` seconds, or when something wakes it."""

    def __init__(self, reason: Reason, message: str, after: float = 60.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.after = after


class Invalid(Exception):
    """The user must act; the object is Stalled, and looked at again every five minutes."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Conflict(Exception):
    """The object is not the one that was read, or no longer as it was read: run the key again."""


class Gone(Exception):
    """The object or its namespace is going or gone: there is nothing left to reconcile."""


class TypeMissing(Gone):
    """The API server does not know the type: its CRD is not installed."""


class Busy(Exception):
    """The server did not answer in four tries: back off."""


class TokenRefused(Exception):
    """The server refuses our token, also a fresh one: end the process with code 1."""
