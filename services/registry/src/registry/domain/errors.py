"""What the registry refuses. Over the API each becomes a problem document, see `handlers.http.problems`."""

from certcore.errors import PermanentError


class NotFoundError(PermanentError):
    """Unknown, or not for this caller: both get the same answer."""


class ForbiddenError(PermanentError):
    """The caller is known and may not do this."""


class ConflictError(PermanentError):
    """It can't be done in the present state."""
