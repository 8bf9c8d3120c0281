"""Who may publish and read what on the bus: each identity its own subjects, and nothing else.

Who published a message is never read from its body: the broker binds an identity's key to the subjects below, and
`certcore.subjects` reads the place, the service or the owner back from the subject.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from certcore import subjects
from certcore.durables import DURABLES

__all__ = ["OPERATOR", "Grant", "accounts", "grants", "owner_identity", "site_identity"]

OPERATOR: Final = "operator"
"""Declares streams and consumers; it publishes no event."""


HUB_ACCOUNT: Final = "certbus"
"""The account that holds the streams."""

# What these publish, others subscribe to, and the broker doesn't pass on what came in through an import.
_IN_HUB: Final = frozenset({"registry", "monitor"})

_INBOX: Final = "_INBOX."
_JETSTREAM_API: Final = "$JS.API.>"
_JETSTREAM_INFO: Final = "$JS.API.INFO"
_PULL: Final = "$JS.API.CONSUMER.MSG.NEXT."


def site_identity(site: str, service: str) -> str:
    return f"{site}-{service}"


def owner_identity(owner: str) -> str:
    return f"owner-{owner}"


@dataclass(frozen=True)
class Grant:
    """The subjects, with wildcards, that an identity may publish to and subscribe to."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def grants(*, sites: Iterable[str], owners: Iterable[str]) -> dict[str, Grant]:
    """What each identity of a bus may do. Identities are the services, those of each site, and the owners.

    Raises:
        ValueError: a site and an owner would share an identity.
    """
    found = {
        OPERATOR: _grant(OPERATOR, publish=(_JETSTREAM_API,)),
        "registry": _grant(
            "registry",
            publish=(subjects.ANY_EVENT, subjects.ANY_ANSWER, "certs.deploy.>", subjects.ANY_ALERT),
            consumes=(
                (subjects.REQUESTS, DURABLES.REGISTRY_REQUESTS),
                (subjects.STATUS, DURABLES.REGISTRY_STATUS),
                (subjects.ALERTS, DURABLES.REGISTRY_ALERTS),
            ),
        ),
        "issuer": _grant(
            "issuer",
            publish=(f"certs.status.{subjects.HUB}.issuer.>",),
            consumes=((subjects.CERTS, DURABLES.ISSUER),),
        ),
        "monitor": _grant(
            "monitor",
            publish=(f"certs.status.{subjects.HUB}.monitor.>", subjects.ANY_ALERT),
            consumes=((subjects.CERTS, DURABLES.MONITOR),),
        ),
    }
    for site in sorted(set(sites)):
        for service in ("syncer", "pusher"):
            identity = site_identity(site, service)
            found[identity] = _grant(
                identity,
                publish=(f"certs.status.{site}.{service}.>",),
                consumes=((subjects.deploy_stream(site), DURABLES.of(site, service)),),
            )
    for owner in sorted(set(owners)):
        identity = owner_identity(owner)
        if identity in found:
            raise ValueError(f"owner {owner} and a site would share the identity {identity}")
        answers = f"certs.answer.{owner}.>"
        found[identity] = _grant(
            identity,
            # The stored answer is read by its subject, without a consumer.
            publish=(f"certs.request.{owner}.>", f"$JS.API.DIRECT.GET.{subjects.CERTS}.{answers}"),
            subscribe=(answers, f"certs.alert.*.{owner}"),
        )
    return found


def _grant(
    identity: str,
    *,
    publish: tuple[str, ...],
    subscribe: tuple[str, ...] = (),
    consumes: tuple[tuple[str, str], ...] = (),
) -> Grant:
    """`consumes` are (stream, durable): a pull consumer that is only used, never made."""
    rights = list(publish)
    for stream, durable in consumes:
        rights += [
            f"$JS.API.CONSUMER.INFO.{stream}.{durable}",
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}",
            f"$JS.ACK.{stream}.{durable}.>",
            subjects.dead_letter(durable),
        ]
    # An inbox of one's own: with the default _INBOX.> everybody could read everybody's replies.
    return Grant(tuple(rights), (*subscribe, f"_INBOX.{identity}.>"))


def accounts(granted: Mapping[str, Grant], public_keys: Mapping[str, str]) -> str:
    """The `accounts` block of a nats-server configuration; `public_keys` are NKeys of users (`U…`).

    Permissions alone don't bind an identity: whoever may publish to a stream chooses the subject that the broker's
    acknowledgement goes to, and the broker asks nobody whether he might publish there. So sites, owners, issuer and
    operator have an account each, where their replies stay, and import from the hub's account what they are granted.
    The permissions hold as well: a refusal tells its reason, an absent import doesn't.

    Raises:
        ValueError: an identity has no key, or what stands for its key is not a public one.
    """
    residents, exports, members = [], [], []
    for identity, grant in sorted(granted.items()):
        user = _user(identity, grant, public_keys.get(identity, ""))
        if identity in _IN_HUB:
            residents.append(user)
            continue
        services = _services(grant)
        streams = [subject for subject in grant.subscribe if not subject.startswith(_INBOX)]
        exports += [_export(identity, "service", subject) for subject in services]
        exports += [_export(identity, "stream", subject) for subject in streams]
        imports = [_import("service", subject) for subject in services]
        imports += [_import("stream", subject) for subject in streams]
        members.append(f"  {_text(identity)} {{\n{_block('users', [user])}{_block('imports', imports)}  }}\n")
    hub = f"    jetstream: enabled\n{_block('users', residents)}{_block('exports', exports)}"
    return f"accounts {{\n  {_text(HUB_ACCOUNT)} {{\n{hub}  }}\n{''.join(members)}}}\n"


def _user(identity: str, grant: Grant, public_key: str) -> str:
    if not (len(public_key) == 56 and public_key.startswith("U")):
        raise ValueError(f"{identity} has no public NKey of a user")
    publish, subscribe = json.dumps(grant.publish), json.dumps(grant.subscribe)
    rights = f"publish: {{ allow: {publish} }}, subscribe: {{ allow: {subscribe} }}"
    return f"{{ nkey: {public_key}, permissions: {{ {rights} }} }} # {identity}"


def _export(identity: str, kind: str, subject: str) -> str:
    # Pulling is one request with many answers.
    answers = ", response_type: Stream" if subject.startswith(_PULL) else ""
    return f"{{ {kind}: {_text(subject)}, accounts: [{_text(identity)}]{answers} }}"


def _import(kind: str, subject: str) -> str:
    return f"{{ {kind}: {{ account: {_text(HUB_ACCOUNT)}, subject: {_text(subject)} }} }}"


def _block(name: str, lines: list[str]) -> str:
    return f"    {name}: [\n" + "".join(f"      {line}\n" for line in lines) + "    ]\n"


def _services(grant: Grant) -> tuple[str, ...]:
    if _JETSTREAM_API in grant.publish:
        return grant.publish
    # Where this is imported, the broker leaves out its own JetStream API for accounts without streams, whose answer
    # ("not enabled") would race with the hub's. The permissions let nobody use it.
    return (*grant.publish, _JETSTREAM_INFO)


def _text(value: str) -> str:
    # Quoted: outside of quotes the server would read $JS as a variable.
    return json.dumps(value)
