"""The configured solvers as one: each record goes to the solver whose name it carries."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from issuer.domain.ca_order import AuthorizationView, ChallengeKind
from issuer.domain.challenge import SEEN, ChallengeRecord, ChallengeSolver, Propagation
from issuer.domain.errors import SolverError
from issuer.domain.solver_choice import SolverChoice, SolverRule, choose_solver, solver_of

__all__ = ["Solvers"]

log = structlog.get_logger()


class Solvers:
    def __init__(self, *, running: Mapping[str, ChallengeSolver], rules: Sequence[SolverRule]) -> None:
        self._running = running
        self._rules = rules

    def choose(self, authorization: AuthorizationView, *, preference: Sequence[ChallengeKind]) -> SolverChoice:
        """As `choose_solver`, among what is configured."""
        return choose_solver(authorization, preference=preference, rules=self._rules)

    async def present(self, records: Sequence[ChallengeRecord]) -> None:
        """Show all records, each solver's beside the others'.

        Raises:
            SolverError: a place can't be reached, or a record's solver is configured no more.
        """
        grouped = [(self._solver(name, of), of) for name, of in self._by_solver(records).items()]
        done = await asyncio.gather(*(solver.present(of) for solver, of in grouped), return_exceptions=True)
        _raise_first(done)

    async def propagated(self, records: Sequence[ChallengeRecord]) -> Propagation:
        """Seen when each solver's records are.

        Raises:
            SolverError: as `present`.
        """
        grouped = [(self._solver(name, of), of) for name, of in self._by_solver(records).items()]
        found = await asyncio.gather(*(solver.propagated(of) for solver, of in grouped), return_exceptions=True)
        _raise_first(found)
        missing = [one for one in found if isinstance(one, Propagation) and not one.seen]
        if not missing:
            return SEEN
        return Propagation(
            seen=False,
            detail="; ".join(one.detail for one in missing),
            look_again=min(one.look_again for one in missing),
        )

    async def clean_up(self, records: Sequence[ChallengeRecord]) -> Sequence[ChallengeRecord]:
        """Those of the records that are shown no more; a place that is away keeps its records for the next round."""
        removed: list[ChallengeRecord] = []
        for name, of in self._by_solver(records).items():
            try:
                await self._solver(name, of).clean_up(of)
            except SolverError as error:
                log.warning("challenges_left", solver=name, names=len(of), error=str(error))
            else:
                removed += of
        return removed

    def _by_solver(self, records: Sequence[ChallengeRecord]) -> dict[str, list[ChallengeRecord]]:
        grouped: dict[str, list[ChallengeRecord]] = {}
        for record in records:
            name = record.solver or solver_of(record.identifier, record.kind, self._rules) or ""
            grouped.setdefault(name, []).append(record)
        return grouped

    def _solver(self, name: str, records: Sequence[ChallengeRecord]) -> ChallengeSolver:
        if name not in self._running:
            what = f"the solver {name} of" if name else f"a solver that shows {records[0].kind} for"
            raise SolverError(
                f"{what} {records[0].identifier} is not configured (any more): name it in `solvers` again, until its "
                "records are removed"
            )
        return self._running[name]


def _raise_first(results: Sequence[object]) -> None:
    """All have ended by now; a fault that is none of a solver's goes before theirs."""
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in sorted(errors, key=lambda error: isinstance(error, SolverError)):
        raise error
