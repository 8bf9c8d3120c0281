"""Challenge records as every authoritative server of their zones shows them, in each view.

A CA may ask any of the servers, and from several places at once: a record counts as seen when all of them show it.
CNAMEs are followed server by server too, so that one that hasn't got the CNAME yet is found.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import dns.exception
import dns.name

from issuer.adapters.dns_zones import NameServer, Zone, Zones
from issuer.adapters.txt_answers import TxtAnswer, ask_txt
from issuer.domain.challenge import ChallengeRecord, Propagation
from issuer.domain.errors import SolverError
from issuer.domain.job import JobId
from issuer.domain.propagation import Lack, propagation

__all__ = ["AuthoritativeDnsViews"]

_MOST_HOPS: Final = 12
_AT_ONCE: Final = 64
_MOST_WAITING: Final = 10_000


@dataclass
class _Look:
    """What one look found so far: a server that is silent about one name isn't asked about the others."""

    view: str
    silent: dict[NameServer, TxtAnswer] = field(default_factory=dict)
    lacks: list[Lack] = field(default_factory=list)


class AuthoritativeDnsViews:
    """Is an AuthoritativeDns. The first of the views is the one whose CNAMEs decide where records are written."""

    def __init__(self, views: Mapping[str, Zones], *, timeout_s: float) -> None:
        self._views = views
        self._timeout_s = timeout_s
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._looks: dict[JobId, int] = {}

    async def followed(self, name: str, *, views: Sequence[str] = ()) -> str:
        view = next(iter(views), next(iter(self._views)))
        zones, look = self._views[view], _Look(view)
        at = _parsed(name)
        passed: list[dns.name.Name] = []
        zone = await zones.around(at)
        for _ in range(_MOST_HOPS):
            answer = await self._any_answer(zone, at, look)
            if answer.cut is not None:
                zone = await zones.served(answer.cut)
            elif answer.target is None:
                return _told(at)
            else:
                passed.append(at)
                at = answer.target
                if at in passed:
                    circle = " → ".join(map(_told, [*passed, at]))
                    raise SolverError(f"the CNAME of {name} goes in a circle: {circle}")
                zone = await zones.around(at)
        raise SolverError(f"the CNAMEs of {name} are too many: {' → '.join(map(_told, passed))}")

    async def propagated(self, records: Sequence[ChallengeRecord], *, views: Sequence[str] = ()) -> Propagation:
        wanted: dict[str, set[str]] = {}
        for record in records:
            wanted.setdefault(record.record_name, set()).add(record.record_value)
        looks = [_Look(view) for view in views or self._views]
        await asyncio.gather(
            *(self._look_for(look, name, frozenset(values)) for look in looks for name, values in wanted.items())
        )
        job = records[0].job if records else None
        before = self._looks.pop(job, 0) if job else 0
        found = propagation([lack for look in looks for lack in look.lacks], looks=before)
        if job and not found.seen:
            if len(self._looks) >= _MOST_WAITING:
                self._looks.pop(next(iter(self._looks)))
            self._looks[job] = before + 1
        return found

    async def _look_for(self, look: _Look, name: str, values: frozenset[str]) -> None:
        """Add what is lacking at one name in one view."""
        zones = self._views[look.view]
        try:
            at = _parsed(name)
            zone = await zones.around(at)
            for _ in range(_MOST_HOPS):
                answers = await self._answers(zone, at, look)
                self._note_faults(look, answers, name)
                good = {server: answer for server, answer in answers.items() if not answer.fault}
                cut = next((answer.cut for answer in good.values() if answer.cut is not None), None)
                targets = {answer.target for answer in good.values()}
                if cut is not None:
                    zone = await zones.served(cut)
                elif targets in (set(), {None}):
                    look.lacks += _lacking(look.view, good, name, values)
                    return
                elif len(targets) > 1:
                    look.lacks += [
                        Lack(look.view, str(server), f"has {_alias(answer.target)} at", name)
                        for server, answer in good.items()
                    ]
                    return
                else:
                    at = targets.pop() or at
                    zone = await zones.around(at)
        except SolverError as error:
            look.lacks.append(Lack(look.view, "nobody can be asked:", str(error), f"({name})"))
            return
        look.lacks.append(Lack(look.view, "too many CNAMEs", "lead away from", name))

    async def _any_answer(self, zone: Zone, name: dns.name.Name, look: _Look) -> TxtAnswer:
        """What the first server that answers says."""
        answer = TxtAnswer(fault="is asked by nobody about")
        for server in zone.servers:
            answer = await self._ask(server, name, zone, look)
            if not answer.fault:
                return answer
        raise SolverError(
            f"no authoritative server of {_told(zone.name)} says where {_told(name)} leads: "
            f"{zone.servers[-1]} {answer.fault} it"
        )

    async def _answers(self, zone: Zone, name: dns.name.Name, look: _Look) -> Mapping[NameServer, TxtAnswer]:
        answers = await asyncio.gather(*(self._ask(server, name, zone, look) for server in zone.servers))
        return dict(zip(zone.servers, answers, strict=True))

    async def _ask(self, server: NameServer, name: dns.name.Name, zone: Zone, look: _Look) -> TxtAnswer:
        async with self._free:
            if server in look.silent:
                return look.silent[server]
            answer = await ask_txt(server, name, zone=zone.name, timeout_s=self._timeout_s)
        if answer.silent or answer.no_route:
            look.silent[server] = answer
        return answer

    def _note_faults(self, look: _Look, answers: Mapping[NameServer, TxtAnswer], name: str) -> None:
        """An address in a network that this host has no route to (IPv6, often) doesn't count, where another address
        of the same server answers.
        """
        answering = {server.name for server, answer in answers.items() if not answer.fault and server.name}
        look.lacks += [
            Lack(look.view, str(server), answer.fault, name)
            for server, answer in answers.items()
            if answer.fault and not (answer.no_route and server.name in answering)
        ]


def _lacking(view: str, answers: Mapping[NameServer, TxtAnswer], name: str, values: frozenset[str]) -> Sequence[Lack]:
    lacks = []
    for server, answer in answers.items():
        missing = len(values - answer.values)
        if missing:
            what = (
                "lacks the TXT record of" if missing == len(values) else f"lacks {missing} of {len(values)} values of"
            )
            lacks.append(Lack(view, str(server), what, name))
    return lacks


def _alias(target: dns.name.Name | None) -> str:
    return f"a CNAME to {_told(target)}" if target is not None else "no CNAME"


def _parsed(name: str) -> dns.name.Name:
    try:
        return dns.name.from_text(name)
    except dns.exception.DNSException as error:
        raise SolverError(f"{name} can't be a name of a record: {error}") from error


def _told(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True)
