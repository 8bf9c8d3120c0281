"""The kinds of solvers, found by entry points, and the solvers that the settings name."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from certcore.plugins import PluginError, load_kinds, load_plugins
from certkit.settings import SettingFault, faults_of
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.solver import AnySolverDriver, DnsSolverSettings, RunningSolver, SolverContext, SolverSettings
from issuer.domain.solver_choice import SolverRule, overlapping

__all__ = ["BuiltSolver", "SolversSetting", "built_solvers", "solver_faults"]

_GROUP: Final = "certbus.solvers"

SolversSetting = Mapping[str, Mapping[str, Any]]
"""Name of the solver → its settings, which the driver of their `kind` reads."""


@dataclass(frozen=True)
class BuiltSolver:
    rule: SolverRule
    solver: RunningSolver


def built_solvers(solvers: SolversSetting, context: Callable[[str], SolverContext]) -> list[BuiltSolver]:
    """Every solver, in the order of the settings; `solver_faults` must have found no fault in them."""
    known = _drivers(solvers)
    return [
        BuiltSolver(_rule(name, read, driver), driver.build(read, context(name)))
        for name, settings in solvers.items()
        for driver in [known[settings["kind"]]]
        for read in [driver.settings.model_validate(settings)]
    ]


def solver_faults(
    solvers: SolversSetting, *, views: Collection[str], needed: Mapping[str, Sequence[ChallengeKind]]
) -> Sequence[SettingFault]:
    """What is wrong with the solvers, by field: `solvers.knot.server`. `needed` are the challenges of each CA."""
    try:
        drivers = _drivers(solvers)
    except PluginError as error:
        return [SettingFault(("solvers",), str(error))]
    faults: list[SettingFault] = []
    rules: list[SolverRule] = []
    for name, settings in solvers.items():
        kind = settings.get("kind")
        if not isinstance(kind, str) or kind not in drivers:
            known = ", ".join(sorted(load_plugins(_GROUP)))
            faults.append(SettingFault(("solvers", name, "kind"), f"must be one of the installed kinds: {known}"))
            continue
        try:
            read = drivers[kind].settings.model_validate(settings)
        except ValidationError as error:
            faults += faults_of(error, "solvers", name)
            continue
        rules.append(_rule(name, read, drivers[kind]))
        if isinstance(read, DnsSolverSettings) and (unknown := set(read.views) - set(views)):
            told = f"there is no view {', '.join(sorted(unknown))} in dns.views"
            faults.append(SettingFault(("solvers", name, "views"), told))
    if (overlap := overlapping(rules)) is not None:
        faults.append(SettingFault(("solvers",), overlap))
    if not faults:
        shown = {rule.kind for rule in rules}
        faults += [
            SettingFault(("cas", ca, "challenges"), f"no solver of `solvers` shows {challenge}")
            for ca, challenges in needed.items()
            for challenge in challenges
            if challenge not in shown
        ]
    return faults


def _drivers(solvers: SolversSetting) -> dict[str, AnySolverDriver]:
    """The drivers of the configured kinds; others are not imported.

    Raises:
        PluginError: a driver can't be loaded or has another kind.
    """
    return load_kinds(_GROUP, [settings.get("kind") for settings in solvers.values()])


def _rule(name: str, settings: SolverSettings, driver: AnySolverDriver) -> SolverRule:
    return SolverRule(name, driver.proves(settings), settings.match)
