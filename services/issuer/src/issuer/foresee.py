"""`python -m issuer forecast NAMES…`: when orders for these names could go under the CAs' limits."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from certcore.ca_limits.asked import AskedCa
from certcore.ca_limits.forecast import ForecastAnswer, Intent, answer
from certcore.clock import system_clock
from certcore.errors import PermanentError, TransientError
from certkit.settings import load_settings
from issuer.adapters.stored_budgets import stored_budgets
from issuer.domain.choice import CaPolicy, choose_ca
from issuer.domain.rehearsal import rehearsed_order
from issuer.settings import Settings

__all__ = ["main"]

_INTENTS: Final = TypeAdapter(tuple[Intent, ...])
_EPILOG: Final = (
    "exit codes: 0 it is printed, 1 the journal can't be read, 2 wrong usage or a wrong setting. The journal is only"
    " read. JSON: {made_at, takes, orders: [{id, at, limit}]}, in the order of what was asked, times and the duration"
    " by ISO 8601; at is null where the CA isn't asked by ACME, limit where it waits for none"
)


def main(arguments: Sequence[str], *, prog: str = "python -m issuer forecast") -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="When orders could go under the CAs' limits, by this issuer's ledger, if nothing else is ordered."
        " They go in the order in which they are given.",
        epilog=_EPILOG,
    )
    parser.add_argument("names", nargs="*", help="an order each: a DNS name, or several with commas between them")
    parser.add_argument("--ca", help="the CA of this name, instead of that of the policy")
    parser.add_argument(
        "-f",
        "--file",
        help="a file of further orders, or - : a JSON list of {id, ca, dns_names}, and, where they are"
        " renewals, window_start, window_end, set_issued_at; urgent: true",
    )
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    asked = parser.parse_args(arguments)
    if not asked.names and asked.file is None:
        parser.error("give names, or a file")
    settings = load_settings(Settings)
    try:
        intents = [_intent(settings, names.split(","), asked.ca) for names in asked.names]
        intents += _read(asked.file) if asked.file is not None else ()
        now, cas = system_clock(), [AskedCa(ca.name, ca.directory_url, ca.counted) for ca in settings.acme_cas]
        told = answer(stored_budgets(settings.database_url, cas, now), intents, now=now)
    except (ValueError, OSError, PermanentError) as error:
        parser.error(_short(error))
    except TransientError as error:
        print(error, file=sys.stderr)  # noqa: T201 # why there is no answer
        return 1
    print(told.model_dump_json(indent=2) if asked.output == "json" else _table(told, intents))  # noqa: T201 # the answer
    return 0


def _intent(settings: Settings, names: list[str], ca: str | None) -> Intent:
    order = rehearsed_order(names[0], exposure=None, ca=ca).model_copy(update={"dns_names": tuple(names)})
    known = {one.name: one.traits for one in settings.cas}
    chosen = choose_ca(order, policy=CaPolicy(**settings.policy.model_dump()), known=known)
    return Intent(id=",".join(names)[:128], ca=chosen.ca, dns_names=tuple(names))


def _read(file: str) -> Sequence[Intent]:
    return _INTENTS.validate_json(sys.stdin.read() if file == "-" else Path(file).read_text())


def _table(told: ForecastAnswer, intents: Sequence[Intent]) -> str:
    rows = [("ORDER", "CA", "AT", "WAITS FOR")]
    for order, intent in zip(told.orders, intents, strict=True):
        at = f"{order.at:%Y-%m-%dT%H:%M:%SZ}" if order.at is not None else "not asked by ACME"
        rows.append((order.id, intent.ca, at if order.at != told.made_at else "now", order.limit or ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def _short(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
    return str(error)
