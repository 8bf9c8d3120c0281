"""Who may publish and read what on the bus: each identity its own subjects, and nothing else.

Who published a message is never read from its body: the broker binds an identity's key to the subjects below, and
`certcore.subjects` reads the place, the service or the owner back from the subject.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from certcore import subjects
from certcore.identities import (
    ALERTS_DURABLE,
    HUB,
    OPERATOR,
    READS_REPORTS,
    Service,
    alerts_durable,
    deliverers_at,
    durable,
    identity,
    owner_identity,
    places,
    requests_durable,
)

__all__ = ["Grant", "Limits", "accounts", "grants"]

HUB_ACCOUNT: Final = "certbus"
"""The account that holds the streams."""

# Owners subscribe to what the registry publishes, and the broker doesn't pass on what came in through an import.
_IN_HUB: Final = frozenset({identity(HUB, Service.REGISTRY)})

_INBOX: Final = "_INBOX."
_JETSTREAM_API: Final = "$JS.API.>"
_JETSTREAM_INFO: Final = "$JS.API.INFO"
_PULL: Final = "$JS.API.CONSUMER.MSG.NEXT."


@dataclass(frozen=True)
class Limits:
    """Of an account. The broker counts subscriptions for each connection, and closes one whose message is larger."""

    connections: int
    subscriptions: int
    payload_kib: int


# Several tools may ask as one owner. What is larger than REQUESTS takes is refused with a reason up to this size.
_OF_OWNER: Final = Limits(connections=64, subscriptions=256, payload_kib=256)
# Replicas, and in a rolling restart twice as many. The registry reads each place and owner by a subscription.
_OF_SERVICE: Final = Limits(connections=16, subscriptions=1_000, payload_kib=1_024)
_OF_HUB: Final = Limits(connections=64, subscriptions=20_000, payload_kib=1_024)


@dataclass(frozen=True)
class Grant:
    """The subjects, with wildcards, that an identity may publish to and subscribe to."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    limits: Limits = _OF_SERVICE


def grants(*, sites: Iterable[str], owners: Iterable[str]) -> dict[str, Grant]:
    """What each identity of a bus may do. Identities are the services of the hub, those of each site, and the owners.

    Raises:
        ValueError: a site and an owner would share an identity, or a site has the hub's name.
    """
    owners = sorted(set(owners))
    issuer, monitor = identity(HUB, Service.ISSUER), identity(HUB, Service.MONITOR)
    found = {
        OPERATOR: _grant(OPERATOR, publish=(_JETSTREAM_API,)),
        identity(HUB, Service.REGISTRY): _registry(owners),
        issuer: _grant(
            issuer,
            publish=(*_reports(HUB, Service.ISSUER), subjects.dead_letter(HUB, issuer)),
            consumes=((subjects.CERTS, durable(HUB, Service.ISSUER)),),
        ),
        monitor: _grant(
            monitor,
            publish=(*_reports(HUB, Service.MONITOR), subjects.ANY_ALERT, subjects.dead_letter(HUB, monitor)),
            consumes=((subjects.CERTS, durable(HUB, Service.MONITOR)),),
        ),
    }
    for place in places(sites):
        for service in deliverers_at(place):
            found[identity(place, service)] = _deliverer(place, service)
    for owner in owners:
        name = owner_identity(owner)
        if name in found:
            raise ValueError(f"owner {owner} and a site would share the identity {name}")
        answers = subjects.answers(owner)
        found[name] = _grant(
            name,
            # The stored answer is read by its subject, without a consumer.
            publish=(subjects.request(owner), f"$JS.API.DIRECT.GET.{subjects.answers_stream(owner)}.{answers}"),
            subscribe=(answers,),
            consumes=((subjects.ALERTS, alerts_durable(owner)),),
            limits=_OF_OWNER,
        )
    return found


def _registry(owners: Iterable[str]) -> Grant:
    """Consumers are granted by wildcard: it reads those of places and owners that are declared after its start."""
    read = (READS_REPORTS, ALERTS_DURABLE, *map(requests_durable, owners))
    name = identity(HUB, Service.REGISTRY)
    return _grant(
        name,
        publish=(
            subjects.ANY_EVENT,
            subjects.ANY_ANSWER,
            subjects.ANY_DEPLOY,
            subjects.ANY_ALERT,
            subjects.ANY_ANCHOR,
            # It looks for places and owners by the streams and consumers that are there.
            "$JS.API.STREAM.NAMES",
            # It tells how full each stream is, and notices one that was lost.
            "$JS.API.STREAM.LIST",
            f"$JS.API.CONSUMER.NAMES.{subjects.REQUESTS}",
            # A consumer that was left beyond the end of a rewound stream reads it again.
            "$JS.API.CONSUMER.LIST.*",
            "$JS.API.CONSUMER.RESET.*.*",
            # After a restore it reads what streams still hold of the time that it lost.
            "$JS.API.DIRECT.GET.*",
            # It notices streams that were lost or are full, and dead letters.
            "$JS.API.STREAM.INFO.*",
            *(subjects.dead_letter(HUB, consumer) for consumer in read),
        ),
        consumes=((subjects.REQUESTS, "*"), ("*", READS_REPORTS), (subjects.ALERTS, ALERTS_DURABLE)),
    )


def _deliverer(place: str, service: Service) -> Grant:
    name = identity(place, service)
    return _grant(
        name,
        publish=(*_reports(place, service), subjects.dead_letter(place, durable(place, service))),
        consumes=((subjects.deploy_stream(place), durable(place, service)),),
    )


def _reports(place: str, service: Service) -> tuple[str, ...]:
    return subjects.statuses(place, service), subjects.lasts(place, service)


def _grant(
    name: str,
    *,
    publish: tuple[str, ...],
    subscribe: tuple[str, ...] = (),
    consumes: tuple[tuple[str, str], ...] = (),
    limits: Limits = _OF_SERVICE,
) -> Grant:
    """`consumes` are (stream, durable): a pull consumer that is only used, never made."""
    rights = list(publish)
    for stream, consumer in consumes:
        rights += [
            f"$JS.API.CONSUMER.INFO.{stream}.{consumer}",
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}",
            f"$JS.ACK.{stream}.{consumer}.>",
        ]
    # An inbox of one's own: with the default _INBOX.> everybody could read everybody's replies.
    return Grant(tuple(rights), (*subscribe, f"_INBOX.{name}.>"), limits)


def accounts(granted: Mapping[str, Grant], public_keys: Mapping[str, str]) -> str:
    """The `accounts` block of a nats-server configuration; `public_keys` are NKeys of users (`U…`).

    Permissions alone don't bind an identity: whoever may publish to a stream chooses the subject that the broker's
    acknowledgement goes to, and the broker asks nobody whether he might publish there. So everybody but the registry
    has an account of its own, where replies stay, and imports from the hub's account what it is granted.
    The permissions hold as well: a refusal tells its reason, an absent import doesn't.

    Only the hub's account has JetStream, so the server's `max_file_store` is the bound of what is stored. Each
    account has limits of its own: nobody takes the broker's connections or memory from the others.

    Raises:
        ValueError: an identity has no key, or what stands for its key is not a public one.
    """
    residents, exports, members = [], [], []
    for name, grant in sorted(granted.items()):
        user = _user(name, grant, public_keys.get(name, ""))
        if name in _IN_HUB:
            residents.append(user)
            continue
        services = _services(grant)
        streams = [subject for subject in grant.subscribe if not subject.startswith(_INBOX)]
        exports += [_export(name, "service", subject) for subject in services]
        exports += [_export(name, "stream", subject) for subject in streams]
        imports = [_import("service", subject) for subject in services]
        imports += [_import("stream", subject) for subject in streams]
        limits = _limits(grant.limits)
        members.append(f"  {_text(name)} {{\n{limits}{_block('users', [user])}{_block('imports', imports)}  }}\n")
    hub = f"{_jetstream(len(granted))}{_limits(_OF_HUB)}{_block('users', residents)}{_block('exports', exports)}"
    return f"accounts {{\n  {_text(HUB_ACCOUNT)} {{\n{hub}  }}\n{''.join(members)}}}\n"


def _jetstream(identities: int) -> str:
    # A site has two identities and four streams, an owner one of each; all may be doubled while they are moved.
    # The server applies the number of consumers to each stream: an owner has one on REQUESTS and one on ALERTS.
    return (
        "    jetstream {\n"
        "      max_mem: 0\n"
        f"      max_streams: {32 + 4 * identities}\n"
        f"      max_consumers: {16 + identities}\n"
        "    }\n"
    )


def _limits(limits: Limits) -> str:
    return (
        "    limits {\n"
        f"      max_connections: {limits.connections}\n"
        f"      max_subscriptions: {limits.subscriptions}\n"
        f"      max_payload: {limits.payload_kib}KB\n"
        "    }\n"
    )


def _user(name: str, grant: Grant, public_key: str) -> str:
    if not (len(public_key) == 56 and public_key.startswith("U")):
        raise ValueError(f"{name} has no public NKey of a user")
    publish, subscribe = json.dumps(grant.publish), json.dumps(grant.subscribe)
    rights = f"publish: {{ allow: {publish} }}, subscribe: {{ allow: {subscribe} }}"
    return f"{{ nkey: {public_key}, permissions: {{ {rights} }} }} # {name}"


def _export(name: str, kind: str, subject: str) -> str:
    # Pulling is one request with many answers.
    answers = ", response_type: Stream" if subject.startswith(_PULL) else ""
    return f"{{ {kind}: {_text(subject)}, accounts: [{_text(name)}]{answers} }}"


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
