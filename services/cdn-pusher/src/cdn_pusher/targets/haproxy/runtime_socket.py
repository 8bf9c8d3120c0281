"""HAProxy's runtime API, one command a connection. Its replies have no codes: they are compared word by word."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cdn_pusher.domain.decision import Loaded
from cdn_pusher.domain.errors import DeliveryError
from certcore.events import DeliveryReason
from certdelivery.haproxy_socket import HaproxyAwayError, HaproxySocket, first_line

__all__ = ["RuntimeSocket", "State"]

_FIELD: Final = re.compile(r"^(?P<name>[A-Za-z0-9 ]+): ?(?P<value>.*)$", re.MULTILINE)

_WORKER: Final = re.compile(r"^Pid: (\d+)\s*$", re.MULTILINE)
_UPDATED: Final = re.compile(r"^Transaction updated for certificate (?P<path>\S+)!$", re.MULTILINE)


@dataclass(frozen=True)
class State:
    """The process that answered, the paths of all its certificates, and of those with a transaction that was neither
    committed nor aborted.
    """

    worker: str
    paths: tuple[str, ...]
    transactions: tuple[str, ...]


class RuntimeSocket:
    """Every call may raise DeliveryError: `unreachable` if HAProxy doesn't answer, `refused` on an error."""

    def __init__(self, path: Path, *, command_limit_bytes: int, timeout_s: float = 20.0) -> None:
        self._socket = HaproxySocket(path, timeout_s=timeout_s)
        self._command_limit_bytes = command_limit_bytes

    async def worker(self) -> str:
        """The process that answers; a reload puts another in its place."""
        return _worker(await self._ask("show info"))

    async def state(self) -> State:
        return _state(await self._ask("show info;show ssl cert"))

    async def look(self, path: Path) -> tuple[State, Loaded | None]:
        """`state` and `loaded` in one command."""
        reply = await self._ask(f"show info;show ssl cert;show ssl cert {path}")
        before, mark, shown = reply.partition("\nFilename: ")
        return _state(before), _loaded(mark + shown)

    async def loaded(self, path: Path) -> Loaded | None:
        """What is in memory under a path, or None; a path that isn't there and one with nothing in it differ."""
        return _loaded(await self._ask(f"show ssl cert {path}"))

    async def holder(self, sha1: str) -> str | None:
        """The path of a certificate in memory, by its leaf; it may take a command for each that is there."""
        for path in (await self.state()).paths:
            loaded = await self.loaded(Path(path))
            if loaded is not None and loaded.sha1 == sha1:
                return path
        return None

    async def new(self, path: Path) -> None:
        reply = await self._ask(f"new ssl cert {path}")
        if not reply.startswith("New empty certificate store"):
            raise _refused("new ssl cert", reply)

    def takes(self, path: Path, content: bytes) -> bool:
        """Whether it fits into a `set` command: HAProxy doesn't answer a longer one."""
        return len(_set_command(path, content)) <= self._command_limit_bytes

    async def set(self, path: Path, content: bytes) -> None:
        """Open a transaction of our own, with a PEM without blank lines.

        While another is open, HAProxy puts the payload into that one, whatever path it belongs to, and answers
        "updated": so only the exact answer is accepted, and a payload that was put elsewhere is aborted there.
        """
        reply = await self._send(_set_command(path, content))
        if reply.strip() != f"Transaction created for certificate {path}!":
            await self.abort(path)
            if spoilt := _UPDATED.search(reply):
                await self.abort(spoilt["path"])
            raise _refused("set ssl cert", reply)

    async def commit(self, path: Path) -> Loaded | None:
        """Returns what is in memory then."""
        reply = await self._ask(f"commit ssl cert {path};show ssl cert {path}")
        committed, mark, shown = reply.partition("Filename: ")
        if not committed.rstrip().endswith("Success!"):
            await self.abort(path)
            raise _refused("commit ssl cert", committed)
        return _loaded(mark + shown)

    async def abort(self, path: Path | str) -> None:
        """Abort a transaction of this path; no error if there is none."""
        await self._ask(f"abort ssl cert {path}")

    async def enlist(self, crt_list: Path, path: Path) -> None:
        reply = await self._ask(f"add ssl crt-list {crt_list} {path}")
        if not reply.rstrip().endswith("Success!"):
            raise _refused("add ssl crt-list", reply)

    async def remove(self, crt_list: Path, path: Path) -> None:
        """Take a certificate out of the list and out of memory; harmless where it isn't there."""
        await self._ask(f"del ssl crt-list {crt_list} {path}")
        await self._ask(f"del ssl cert {path}")

    async def _ask(self, command: str) -> str:
        return await self._send(command.encode() + b"\n")

    async def _send(self, command: bytes) -> str:
        try:
            return await self._socket.ask(command)
        except HaproxyAwayError as error:
            raise DeliveryError(DeliveryReason.UNREACHABLE, str(error)) from error


def _set_command(path: Path, content: bytes) -> bytes:
    # The payload's own last line break and one more: an empty line ends it.
    return b"set ssl cert %b <<\n%b\n" % (str(path).encode(), content)


def _state(reply: str) -> State:
    # The list begins with a comment, facts before it never do.
    _, mark, listed = reply.partition("\n#")
    paths, transactions = [], []
    for line in (mark + listed).splitlines():
        if line.startswith("*"):
            transactions.append(line[1:])
        elif line.startswith("/"):
            paths.append(line)
    return State(_worker(reply), tuple(paths), tuple(transactions))


def _loaded(reply: str) -> Loaded | None:
    if "Filename: " not in reply:
        return None
    found = [(match["name"], match["value"].strip()) for match in _FIELD.finditer(reply)]
    facts = dict(found)
    return Loaded(
        serial=facts["Serial"].lower().lstrip("0") if "Serial" in facts else None,
        sha1=facts.get("SHA1 FingerPrint"),
        chain_length=1 + sum(name == "Chain Subject" for name, _ in found),
        used=facts.get("Status") == "Used",
    )


def _worker(reply: str) -> str:
    found = _WORKER.search(reply)
    if found is None:
        raise _refused("show info", reply)
    return found[1]


def _refused(command: str, reply: str) -> DeliveryError:
    return DeliveryError(DeliveryReason.REFUSED, f"{command}: {first_line(reply)}")
