"""Tokens, as people read them."""

from collections.abc import Iterable
from datetime import datetime

from certbus.certificate_views import expiry
from certbus.output import Cell, Table
from certbus.time_spans import from_now
from certcore.tokens import RoleView, TokenSummary, WhoView

__all__ = ["token_table", "who_facts"]


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
