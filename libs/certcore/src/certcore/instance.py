"""How a process is recognised by whoever started it: it answers with a value that only its starter chose.

The value is no secret. It tells a service of this start apart from a stranger at the same port.
"""

import re
from typing import Final

__all__ = ["INSTANCE_HEADER", "INSTANCE_VARIABLE", "instance_headers"]

INSTANCE_VARIABLE: Final = "CERTBUS_INSTANCE"
INSTANCE_HEADER: Final = "certbus-instance"
_VALUE: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")


def instance_headers(value: str) -> dict[str, str]:
    """The header for health answers; none where the value is empty, or can't be one of a header."""
    return {INSTANCE_HEADER: value} if _VALUE.fullmatch(value) else {}
