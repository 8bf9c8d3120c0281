"""Rows as the registry wrote them into its first schema, for certificates in every state."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any, Final

from sqlalchemy import Connection, MetaData, insert

from tests.authority import Authority, Issued
from tests.integration.registry.world import NOON

__all__ = ["SECRET", "Before", "Row", "before", "fill"]

Row = dict[str, Any]

_TABLES: Final = (
    *("site", "recipient", "token", "certificate", "request", "approval", "revision", "bundle", "delivery"),
    *("endpoint", "event", "inbox", "audit"),
)


SECRET: Final = {
    "cluster": "east",
    "namespace": "web",
    "secret": "tls",
    "manager": "somebody",
    "dns_names": ["app.example.test"],
    "not_after": "2026-04-01T00:00:00Z",
    "fingerprint_sha256": None,
    "problem": None,
    "certificate_id": None,
}
UNNAMED_SECRET: Final = {"cluster": "east", "manager": "somebody"}


@dataclass
class Before:
    """What is stored, by table."""

    rows: dict[str, list[Row]] = field(default_factory=lambda: {table: [] for table in _TABLES})

    def certificate(self, name: str) -> Row:
        return next(row for row in self.rows["certificate"] if row["name"] == name)

    def of(self, table: str, name: str) -> list[Row]:
        certificate_id = self.certificate(name)["id"]
        return [row for row in self.rows[table] if row["certificate_id"] == certificate_id]


def fill(connection: Connection, before: Before) -> None:
    metadata = MetaData()
    metadata.reflect(connection)
    for table, rows in before.rows.items():
        for start in range(0, len(rows), 500):
            connection.execute(insert(metadata.tables[table]), rows[start : start + 500])


def spec_of(name: str, **changes: Any) -> Row:
    """An intent as it was stored: every field, defaults too."""
    host = f"{name}.internal.example.test"
    spec: Row = {
        "name": name,
        "dns_names": [host],
        "exposure": "internal",
        "owner": "shop",
        "issuer": None,
        "key_algorithm": "ec-p256",
        "targets": [
            {"name": "host", "site": "site1", "kind": "files", "store": "default"},
            {"name": "edge", "site": "site1", "kind": "haproxy", "instance": "blue"},
            {
                "name": "pods",
                "site": "site2",
                "kind": "kubernetes",
                "namespaces": ["web", "api"],
                "secret": "tls",
                "clusters": [],
            },
        ],
        "endpoints": [
            {"url": f"https://{host}:8441", "target": "host"},
            {"url": f"https://{host}:8442", "target": "edge"},
            {"url": f"https://{host}", "target": None},
        ],
        "end_date": None,
    }
    return spec | changes


def before(*, many: int) -> Before:
    """Certificates of all kinds, and many that are live."""
    found = Before()
    authority = Authority()
    rows = found.rows
    rows["site"] += [
        {
            "name": "site1",
            "enrolled_at": NOON,
            "last_heartbeat": NOON,
            "reviewed_at": NOON,
            "review": {"secrets": [SECRET, UNNAMED_SECRET], "unreachable": ["west"]},
        },
        {"name": "site2", "enrolled_at": NOON, "last_heartbeat": None, "reviewed_at": None, "review": None},
    ]
    rows["recipient"] += [
        {"name": f"{site}-{service}", "site": site, "service": service, "public_key": f"key of {site} {service}"}
        for site, service in (("site1", "syncer"), ("site1", "pusher"), ("site2", "syncer"))
    ]
    rows["token"] += [
        {"sha256": sign * 64, "subject": subject, "owner": owner, "roles": roles, "created_at": NOON}
        | dict.fromkeys(("site", "service", "expires_at"))
        for sign, subject, owner, roles in (
            ("a", "admin", "platform", ["operator"]),
            ("b", "olga", "platform", ["operator"]),
            ("c", "site1-syncer", "certbus", ["deliverer"]),
            ("d", "page", "page", ["auditor", "viewer"]),
        )
    ]
    rows["inbox"].append({"source": "issuer", "event_id": "1", "handled_at": NOON})
    rows["audit"] += [
        {"time": NOON, "actor": "ana", "action": "request", "object": "x", "detail": ""},
        {"time": NOON, "actor": "admin", "action": "make token", "object": "olga", "detail": "operator"},
    ]
    _add(found, "waiting", state="waiting_for_approval", spec=spec_of("waiting", exposure="public"), approved=False)
    _add(found, "denied", state="denied", spec=spec_of("denied", exposure="public"), approved=False)
    _add(found, "approved", state="approved", ordered=1)
    _add(found, "issuing", state="issuing", ordered=1)
    _add(found, "failing-first", state="failing", ordered=1)
    _add(found, "delivering", state="delivering", leaves=[authority] * 3, proven=2, held={"host": 3, "pods": 2})
    _add(found, "live", state="live", leaves=[authority] * 3, proven=3)
    _add(found, "renewing", state="renewing", leaves=[authority], proven=1, ordered=2)
    _add(found, "failing", state="failing", leaves=[authority], proven=1, ordered=2)
    _add(found, "failed", state="delivering", leaves=[authority] * 2, proven=1, failed={"edge": 2})
    _add(found, "unreported", state="renewing", leaves=[authority] * 2, wanted=1, proven=1, ordered=2)
    _add(
        found,
        "ended",
        state="live",
        leaves=[authority],
        proven=1,
        spec=spec_of("ended", end_date="2026-01-01T00:00:00Z"),
    )
    _add(found, "changed", state="live", leaves=[authority], proven=1, changed=True)
    odd = spec_of("odd")
    odd["targets"][0] = {"name": "host", "site": "site1", "kind": "gopher"}
    _add(found, "odd", state="live", leaves=[authority], proven=1, spec=odd)
    _add(found, "newer", state="live", leaves=[authority], proven=1, spec=spec_of("newer", colour="blue"))
    # A name that is refused today was valid once.
    old = spec_of("old-name", dns_names=["intranet"], endpoints=[{"url": "https://intranet", "target": None}])
    _add(found, "old-name", state="live", leaves=[authority], proven=1, spec=old)
    for number in range(many):
        _add(found, f"many-{number}", state="live", leaves=[None], proven=1)
    return found


_NUMBERS = count(1)


def _add(
    found: Before,
    name: str,
    *,
    state: str,
    spec: Row | None = None,
    approved: bool = True,
    changed: bool = False,
    leaves: list[Authority | None] | None = None,
    ordered: int | None = None,
    wanted: int | None = None,
    proven: int = 0,
    held: dict[str, int] | None = None,
    failed: dict[str, int] | None = None,
) -> None:
    spec = spec or spec_of(name)
    certificate_id, leaves = f"id-of-{name}", leaves or []
    wanted = len(leaves) if wanted is None else wanted
    spec_hash = hashlib.sha256(json.dumps(spec).encode()).hexdigest()
    rows = found.rows
    rows["certificate"].append(
        {
            "id": certificate_id,
            "name": name,
            "owner": "shop",
            "requester": "ana",
            "exposure": spec["exposure"],
            "spec": {**spec, "issuer": "ca-one"} if changed else spec,
            "spec_hash": "c" * 64 if changed else spec_hash,
            "state": state,
            "reason": f"it is {state}",
            "state_since": NOON - timedelta(days=1),
            "created_at": NOON - timedelta(days=2),
            "ordered": wanted if ordered is None else ordered,
            "wanted": wanted,
            "proven": proven,
            "approval_id": f"approval-of-{name}" if approved else None,
            "next_try": NOON if state == "failing" else None,
            "traceparent": f"00-{next(_NUMBERS):032x}-0000000000000001-01",
        }
    )
    decision = "approved" if approved else "denied" if state == "denied" else "waiting"
    rows["request"].append(
        {
            "id": f"request-of-{name}",
            "kind": "new",
            "certificate_id": certificate_id,
            "requester": "ana",
            "owner": "shop",
            "spec": spec,
            "spec_hash": spec_hash,
            "state": decision,
            "reason": "because",
            "created_at": NOON - timedelta(days=2),
            "traceparent": None,
            "decided_by": "ben" if decision != "waiting" else None,
            "decided_at": NOON - timedelta(days=2) if decision != "waiting" else None,
        }
    )
    if approved:
        rows["approval"].append(
            {
                "id": f"approval-of-{name}",
                "certificate_id": certificate_id,
                "request_id": f"request-of-{name}",
                "spec_hash": spec_hash,
                "approved_by": ["ben"],
                "policy": "public-names-need-a-second-person",
                "granted_at": NOON - timedelta(days=2),
            }
        )
    fingerprints = [_revision(rows, certificate_id, name, number, by) for number, by in enumerate(leaves, start=1)]
    for target in spec["targets"]:
        place = target["site"]
        service = "pusher" if target["kind"] == "haproxy" else "syncer"
        fault = (failed or {}).get(target["name"])
        rows["delivery"].append(
            {
                "certificate_id": certificate_id,
                "target": target["name"],
                "site": place,
                "service": service,
                "kind": target["kind"],
                "revision": (held or {}).get(target["name"], (proven or None) if held is None else None),
                "failed_revision": fault,
                "failure": "unreachable: no answer" if fault else "",
                "next_try": NOON + timedelta(minutes=1) if fault else None,
            }
        )
    for endpoint in spec["endpoints"]:
        seen = bool(proven)
        rows["endpoint"].append(
            {
                "certificate_id": certificate_id,
                "url": endpoint["url"],
                "target": endpoint["target"],
                "verdict": "wanted" if seen else None,
                "served_revision": proven if seen else None,
                "served_fingerprint_sha256": fingerprints[proven - 1] if seen else None,
                "detail": "",
                "addresses": ["127.0.0.1"] if seen else [],
                "observed_at": NOON if seen else None,
            }
        )
    number = len(rows["event"]) + 1
    rows["event"].append(
        {
            "id": f"event-{number}",
            "type": "certbus.certificate.requested.v1",
            "source": "certbus/registry",
            "stream": "CERTS",
            "subject": f"certs.ev.requested.{certificate_id}",
            "about": certificate_id,
            "time": NOON,
            "data": "{}",
            "traceparent": None,
            "sent_at": NOON if number % 2 else None,
        }
    )


def _revision(rows: dict[str, list[Row]], certificate_id: str, name: str, number: int, by: Authority | None) -> str:
    """Returns its fingerprint; where nobody issued it, its facts are made up."""
    issued: Issued | None = None
    if by is not None:
        ends = NOON + timedelta(days=60)
        issued = by.issue(f"{name}.internal.example.test", not_before=NOON - timedelta(days=9), not_after=ends)
    made_up = hashlib.sha256(f"{name} {number}".encode()).hexdigest()
    fingerprint = issued.fingerprint if issued else made_up
    rows["revision"].append(
        {
            "certificate_id": certificate_id,
            "number": number,
            "variant": "platform",
            "serial": issued.serial if issued else made_up[:32],
            "fingerprint_sha256": fingerprint,
            "spki_sha256": made_up,
            "not_before": NOON - timedelta(days=9),
            "not_after": NOON + timedelta(days=60),
            "chain_pem": issued.chain_pem if issued else "",
            "stored_at": NOON,
            "ca": "ca-one",
            "validation_method": "dns-01",
            "ari_id": f"ari-{number}",
            "announced": name != "unreported" or number == 1,
        }
    )
    rows["bundle"] += [
        {
            "certificate_id": certificate_id,
            "revision": number,
            "recipient": recipient,
            "sealed": f"sealed {name} {number} {recipient}".encode(),
        }
        for recipient in ("site1-syncer", "site1-pusher", "site2-syncer")
    ]
    return fingerprint
