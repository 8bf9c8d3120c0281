"""dns-01 by a program, as lego's provider `exec` calls it: PROGRAM present|cleanup FQDN VALUE."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Final, Literal, Self

from pydantic import Field

from issuer.domain.ca_order import ChallengeKind
from issuer.domain.errors import SolverError
from issuer.domain.solver import DnsSolverSettings, RunningSolver, SolverContext, SolverDriver
from issuer.txt_solver import TxtSolver

__all__ = ["DRIVER", "ExecSettings", "Program"]

_TOLD: Final = 200


class ExecSettings(DnsSolverSettings):
    kind: Literal["exec"] = "exec"
    command: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="Program and arguments, run without a shell; action, name and value are added."
    )
    environment: dict[str, str] = Field(
        default_factory=dict,
        description="Beside PATH it gets no other variables. No secrets: name files that hold them.",
    )
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 30.0
    at_once: Annotated[int, Field(ge=1, le=64)] = Field(default=1, description="Programs that run at the same time.")


class Program:
    def __init__(self, *, command: Sequence[str], environment: Mapping[str, str], timeout_s: float) -> None:
        self._command = command
        self._environment = {"PATH": os.environ.get("PATH", os.defpath), **environment}
        self._timeout_s = timeout_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def add(self, name: str, value: str) -> None:
        await self._run("present", name, value)

    async def remove(self, name: str, value: str) -> None:
        await self._run("cleanup", name, value)

    async def _run(self, action: str, name: str, value: str) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                *(action, f"{name}.", value),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment,
                # What it started ends with it.
                start_new_session=True,
            )
        except OSError as error:
            raise SolverError(f"{self._command[0]} can't be run: {error.strerror}") from error
        try:
            async with asyncio.timeout(self._timeout_s):
                _, told = await process.communicate()
        except TimeoutError:
            raise SolverError(f"{self._command[0]} {action} takes longer than {self._timeout_s:g} s") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode != 0:
            last = told.decode(errors="replace").strip().splitlines()[-1:]
            raise SolverError(
                f"{self._command[0]} {action} {name} ended with {process.returncode}: "
                f"{last[0][:_TOLD] if last else 'it said nothing'}"
            )


class ExecDriver:
    kind = "exec"
    settings = ExecSettings

    def proves(self, settings: ExecSettings) -> ChallengeKind:  # noqa: ARG002 # the protocol's
        return ChallengeKind.DNS_01

    def build(self, settings: ExecSettings, context: SolverContext) -> RunningSolver:
        program = Program(command=settings.command, environment=settings.environment, timeout_s=settings.timeout_s)
        return TxtSolver(program, context, views=settings.views, at_once=settings.at_once)


DRIVER: SolverDriver[ExecSettings] = ExecDriver()
