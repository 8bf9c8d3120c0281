"""The order for which each PEM file was written, in one file beside the directory: HAProxy can't store it."""

import json
from collections.abc import Mapping
from pathlib import Path

import structlog
from pydantic import TypeAdapter, ValidationError

from cdn_pusher.domain.decision import Noted
from cdn_pusher.targets.haproxy.certificate_files import replace_file

__all__ = ["Notes"]

log = structlog.get_logger()

_NOTED = TypeAdapter(Noted)


class Notes:
    """Blocking; only to be used under the instance's lock. OSError is left to the caller."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self, name: str) -> Noted | None:
        return self._all().get(name)

    def write(self, name: str, noted: Noted | None) -> None:
        """Store it; None removes what was stored."""
        present = self._all()
        if present.get(name) == noted:
            return
        changed = {other: value for other, value in present.items() if other != name}
        if noted is not None:
            changed[name] = noted
        content = {other: _NOTED.dump_python(value) for other, value in sorted(changed.items())}
        # With the older notes the file is found to be what is wanted, and noted again.
        replace_file(self._file, json.dumps(content, indent=1).encode(), sync_folder=False)

    def _all(self) -> Mapping[str, Noted]:
        try:
            content = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError:
            log.warning("notes_unreadable", file=str(self._file))
            return {}
        found = {}
        for name, value in content.items() if isinstance(content, dict) else ():
            try:
                found[name] = _NOTED.validate_python(value)
            except ValidationError:
                log.warning("note_unreadable", file=str(self._file), name=name[:80])
        return found
