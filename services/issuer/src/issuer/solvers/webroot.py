"""http-01 by files in the folder that a web server serves."""

import asyncio
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field

from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import SEEN, ChallengeRecord, Propagation
from issuer.domain.errors import SolverError
from issuer.domain.solver import RunningSolver, SolverContext, SolverDriver, SolverSettings

__all__ = ["DRIVER", "WebrootSettings", "WebrootSolver"]

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,256}")
_BELOW: Final = Path(".well-known", "acme-challenge")


class WebrootSettings(SolverSettings):
    kind: Literal["webroot"] = "webroot"
    folder: Path = Field(description="What the web server serves as / of the names, by plain HTTP.")


class WebrootSolver:
    def __init__(self, folder: Path) -> None:
        self._folder = folder / _BELOW

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def present(self, records: Sequence[ChallengeRecord]) -> None:
        await asyncio.to_thread(self._write, records)

    async def propagated(self, records: Sequence[ChallengeRecord]) -> Propagation:  # noqa: ARG002 # shown at once
        return SEEN

    async def clean_up(self, records: Sequence[ChallengeRecord]) -> None:
        await asyncio.to_thread(self._remove, records)

    def _write(self, records: Sequence[ChallengeRecord]) -> None:
        for record in records:
            file = self._file(record)
            new = file.with_name(f".{file.name}.{os.getpid()}")
            try:
                self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
                new.write_text(record.record_value)
                # Whoever runs the web server has to read it.
                new.chmod(0o644)
                new.replace(file)
            except OSError as error:
                raise SolverError(f"{self._folder}: {error.strerror}") from error

    def _remove(self, records: Sequence[ChallengeRecord]) -> None:
        for record in records:
            try:
                self._file(record).unlink(missing_ok=True)
            except OSError as error:
                raise SolverError(f"{self._folder}: {error.strerror}") from error

    def _file(self, record: ChallengeRecord) -> Path:
        """A CA chooses the token, and must not choose the folder."""
        if not _TOKEN.fullmatch(record.record_name):
            raise SolverError(f"the token for {record.identifier} can't be the name of a file")
        return self._folder / record.record_name


class WebrootDriver:
    kind = "webroot"
    settings = WebrootSettings

    def proves(self, settings: WebrootSettings) -> ChallengeKind:  # noqa: ARG002 # the protocol's
        return ChallengeKind.HTTP_01

    def build(self, settings: WebrootSettings, context: SolverContext) -> RunningSolver:  # noqa: ARG002 # as above
        return WebrootSolver(settings.folder)


DRIVER: SolverDriver[WebrootSettings] = WebrootDriver()
