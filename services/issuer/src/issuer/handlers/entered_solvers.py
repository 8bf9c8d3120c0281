"""Solvers that begin to run when they are first needed, and run until the end."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Self

from issuer.domain.errors import SolverNotHereError
from issuer.domain.solver import RunningSolver

__all__ = ["EnteredSolvers"]


class EnteredSolvers:
    def __init__(self, solvers: Mapping[str, RunningSolver]) -> None:
        self._solvers = solvers
        self._entered: set[str] = set()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def solver(self, name: str) -> RunningSolver:
        """
        Raises:
            SolverNotHereError: it can't run here.
        """
        solver = self._solvers[name]
        if name not in self._entered:
            try:
                await self._stack.enter_async_context(solver)
            except OSError as error:
                raise SolverNotHereError(
                    f"{name} can't run here, where the issuer itself may be running: {error}"
                ) from error
            self._entered.add(name)
        return solver
