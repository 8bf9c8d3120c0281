"""How long a test waits for what must happen: a limit that only a hang reaches, however busy the machine is."""

from typing import Final

__all__ = ["HANG_S"]

HANG_S: Final = 120.0
