"""Tokens, as people read them."""

from collections.abc import Iterable
from datetime import datetime

from certbus.certificate_views import expiry
from certbus.output import Cell, Table
from certbus.time_spans import from_now
from certcore.tokens import RightsChangeView, RoleView, TokenSummary, WhoView

__all__ = ["change_table", "token_table", "who_facts"]


def token_table(tokens: Iterable[TokenSummary], now: datetime) -> Table:
    """LAST USED is up to an hour behind. MADE BY names who made it, and who made theirs."""
    return Table(
        ("ID", "NAME", "SUBJECT", "TEAM", "KIND", "ROLES", "LAST USED", "ENDS", "MADE BY"),
        tuple(
            (
                Cell(token.id),
                Cell(token.name),
                Cell(token.subject),
                Cell(token.owner),
                Cell(str(token.kind)),
                Cell(", ".join(map(str, token.roles)) or "-"),
                Cell(from_now(token.last_used_at, now) if token.last_used_at else "never"),
                _end(token, now),
                Cell(", ".join(token.made_by) or "-"),
            )
            for token in tokens
        ),
        empty="no tokens",
    )


def change_table(changes: Iterable[RightsChangeView], now: datetime) -> Table:
    """What a second admin is asked about, and what became of it."""
    return Table(
        ("ID", "ACT", "SUBJECT", "ROLES", "ASKED BY", "STATE", "BY", "EXPIRES"),
        tuple(
            (
                Cell(change.id),
                Cell(f"{change.act} {change.token_id}" if change.token_id else str(change.act)),
                Cell(change.subject),
                Cell(", ".join(map(str, change.roles)) or "-"),
                Cell(change.asked_by),
                Cell(str(change.state)),
                Cell(change.decided_by or "-"),
                expiry(change.expires_at, now) if change.state in {"waiting", "confirmed"} else Cell("-"),
            )
            for change in changes
        ),
        empty="no changes of rights",
    )


def who_facts(who: WhoView, now: datetime) -> Iterable[tuple[str, str]]:
    """Groups are those that the provider told."""
    yield "name", who.name
    yield "subject", who.subject
    yield "issuer", who.issuer
    yield "kind", str(who.kind)
    yield "teams", ", ".join(who.teams) or "-"
    yield "roles", ", ".join(map(_role, who.roles)) or "none"
    if who.groups:
        yield "groups", ", ".join(who.groups)
    yield "ends", from_now(who.expires_at, now) if who.expires_at is not None else "never"


def _role(held: RoleView) -> str:
    return str(held.role) if held.teams is None else f"{held.role} for {' and '.join(held.teams)}"


def _end(token: TokenSummary, now: datetime) -> Cell:
    if token.revoked_at is not None:
        return Cell(f"revoked {from_now(token.revoked_at, now)} by {token.revoked_by or 'somebody'}", "red")
    return expiry(token.expires_at, now) if token.expires_at is not None else Cell("never")
