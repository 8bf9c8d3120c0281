"""What a browser keeps between leaving for the provider and coming back: one secret, and all else follows from it.

So nothing of a login is stored here, any replica takes it up, and who can't show the cookie has no use for the rest.
"""

import base64
import hmac
import re
from dataclasses import dataclass, field
from typing import Final, Self

from registry.domain.id_token import LoginFault, LoginRefusedError

__all__ = ["Answer", "CommandDoor", "Login", "code_of"]

_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_STATE: Final = re.compile(r"[A-Za-z0-9_-]{22,86}")
_WORD: Final = re.compile(r"[a-z_]{1,64}")
_PORTS: Final = range(1024, 65536)


@dataclass(frozen=True)
class CommandDoor:
    """Where the command on the person's machine waits, and what binds the answer to it."""

    port: int
    challenge: str
    state: str

    @classmethod
    def of(cls, port: str, challenge: str, state: str) -> Self | None:
        """None where that is no door."""
        number = int(port) if re.fullmatch(r"[0-9]{4,5}", port) else 0
        fits = number in _PORTS and _CHALLENGE.fullmatch(challenge) and _STATE.fullmatch(state)
        return cls(number, challenge, state) if fits else None

    def url(self, code: str) -> str:
        """Never another host than the machine of the browser."""
        return f"http://127.0.0.1:{self.port}/?code={code}&state={self.state}"


@dataclass(frozen=True)
class Login:
    secret: str = field(repr=False)
    door: CommandDoor | None = None

    @property
    def state(self) -> str:
        return self._derived("state")

    @property
    def nonce(self) -> str:
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        return self._derived("verifier")

    def _derived(self, what: str) -> str:
        return _text(hmac.digest(self.secret.encode(), f"certbus {what}".encode(), "sha256"))

    def is_for(self, state: str) -> bool:
        """Whether what comes back is the answer to this login."""
        return hmac.compare_digest(self.state.encode(), state.encode())

    def kept(self) -> str:
        """As the cookie has it."""
        door = self.door
        return self.secret if door is None else f"{self.secret}.{door.port}.{door.challenge}.{door.state}"

    @classmethod
    def read(cls, kept: str) -> Self | None:
        """None where that is no login."""
        secret, *rest = kept.split(".")
        if not _SECRET.fullmatch(secret) or len(rest) not in {0, 3}:
            return None
        door = CommandDoor.of(*rest) if rest else None
        return None if rest and door is None else cls(secret, door)


@dataclass(frozen=True)
class Answer:
    """What the browser brings from the provider; `issuer` is who says that it is from (RFC 9207)."""

    state: str
    code: str = field(default="", repr=False)
    issuer: str | None = None
    error: str = ""


def code_of(login: Login | None, answer: Answer) -> str:
    """The code of an answer that is for this login.

    Raises:
        LoginRefusedError: it is for none that was begun in this browser, or holds a refusal.
    """
    if login is None or not login.is_for(answer.state):
        raise LoginRefusedError(LoginFault.STATE, "this sign-in wasn't begun here, or is too old: begin anew")
    if answer.error or not answer.code:
        word = answer.error if _WORD.fullmatch(answer.error) else "it doesn't say why"
        raise LoginRefusedError(LoginFault.REFUSED, f"the provider signs nobody in: {word}")
    return answer.code


def _text(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
