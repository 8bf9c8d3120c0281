"""What the registry refuses. Over the API each becomes a problem document, see `handlers.http.problems`."""

from datetime import timedelta

from certcore.errors import PermanentError


class NotFoundError(PermanentError):
    """Unknown, or not for this caller: both get the same answer."""


class ForbiddenError(PermanentError):
    """The caller is known and may not do this."""


class ConflictError(PermanentError):
    """It can't be done in the present state."""


class TooManyError(PermanentError):
    """A bound is reached that is free again later: worth another try after `retry_after`."""

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after
