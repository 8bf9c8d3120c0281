from dataclasses import replace
from typing import Any

import pytest

from certcore.bundles import digest
from certcore.errors import PermanentError
from certcore.placements import Action
from registry.domain.deployment import Deployment, carries, deployment, deployments
from registry.domain.placement import Placement
from registry.domain.rollout import Rollout
from tests.unit.registry.samples import KINDS, certificate, fingerprint, intent, placement, revision, rollout, sealed

TARGETS = [
    {"kind": "files", "name": "web", "site": "site1"},
    {"kind": "files", "name": "b", "site": "site1"},
    {"kind": "haproxy", "name": "c", "site": "site1"},
    {"kind": "files", "name": "d", "site": "site2"},
    {"kind": "cdn", "name": "cdn"},
]
RECIPIENTS = ("site1-syncer", "site1-pusher", "site2-syncer")
SEALED = sealed(1, 2, to=RECIPIENTS)


def placed(**wanted: int) -> Rollout:
    """All targets should hold revision 1 in generation 1, or what is given for one."""
    of = certificate(intent=intent(targets=TARGETS))
    found = []
    for target in of.intent.targets:
        of_target = Placement.of(of.id, target, KINDS[target.kind])
        number = wanted.get(target.name, 1)
        found.append(replace(of_target, wanted=number, generation=number) if number else of_target)
    stored = (revision(2), revision(1), revision(variant="cdn"))
    return rollout(of, revisions=stored, placements=tuple(found))


def ordered(of: Rollout, **given: Any) -> dict[tuple[str, str], Deployment]:
    found = deployments(
        of, given.get("sealed", SEALED), given.get("carried", {}), of=given.get("changed", of.placements)
    )
    return {(item.place, item.service): item for item in found}


def test_each_service_of_each_place_gets_one_order_with_all_its_placements() -> None:
    targets = {key: [order.target.name for order in item.order.placements] for key, item in ordered(placed()).items()}
    assert targets == {
        ("hub", "pusher"): ["cdn"],
        ("site1", "pusher"): ["c"],
        ("site1", "syncer"): ["web", "b"],
        ("site2", "syncer"): ["d"],
    }


def test_where_one_placement_changed_its_service_is_told_of_all() -> None:
    of = placed(web=2)
    [(key, found)] = ordered(of, changed=[of.placements[0]]).items()
    assert key == ("site1", "syncer")
    assert [(item.target.name, item.generation, item.revision) for item in found.order.placements] == [
        ("web", 2, 2),
        ("b", 1, 1),
    ]


def test_each_order_names_the_leaf_and_the_bundle_of_its_recipient() -> None:
    found = ordered(placed())
    [cdn], [c] = found["hub", "pusher"].order.placements, found["site1", "pusher"].order.placements
    assert (cdn.variant, cdn.fingerprint_sha256) == ("cdn", fingerprint(1, "cdn"))
    assert cdn.bundle_sha256 == digest("chain 1 cdn", None)
    assert c.bundle_sha256 == digest("chain 1 platform", SEALED[1, "platform", "site1-pusher"])
    digests = {order.bundle_sha256 for item in found.values() for order in item.order.placements}
    assert len(digests) == 4


def test_what_should_hold_nothing_is_withdrawn_without_any_leaf() -> None:
    of = placed()
    of = of.with_placement(replace(of.placements[0], action=Action.WITHDRAW, generation=5))
    found = ordered(of)["site1", "syncer"]
    withdrawn = found.order.placements[0]
    assert (withdrawn.action, withdrawn.generation) == (Action.WITHDRAW, 5)
    assert (withdrawn.revision, withdrawn.fingerprint_sha256, withdrawn.bundle_sha256) == (None, None, None)


def test_a_target_that_nothing_was_ordered_for_is_left_out() -> None:
    assert ("hub", "pusher") not in ordered(placed(cdn=0))


def test_a_kind_that_a_service_does_not_deliver_to_is_left_out() -> None:
    carried = {
        ("site1", "syncer"): frozenset({"kubernetes"}),
        ("site2", "syncer"): frozenset({"files", "kubernetes"}),
    }
    assert set(ordered(placed(), carried=carried)) == {("hub", "pusher"), ("site1", "pusher"), ("site2", "syncer")}


def test_a_service_that_does_not_say_what_it_delivers_to_delivers_to_all() -> None:
    assert carries(placement(), {("site2", "syncer"): frozenset()})
    assert not carries(placement(), {("site1", "syncer"): frozenset()})


def test_a_target_of_the_stored_intent_that_can_not_be_read_is_left_out() -> None:
    of = placed()
    readable = of.certificate.intent.model_copy(update={"targets": of.certificate.intent.targets[1:]})
    found = ordered(of.with_certificate(replace(of.certificate, intent=readable)))
    assert [order.target.name for order in found["site1", "syncer"].order.placements] == ["b"]


def test_a_recipient_without_a_sealed_key_stops_the_whole() -> None:
    without = {key: value for key, value in SEALED.items() if key[2] != "site2-syncer"}
    with pytest.raises(PermanentError, match="revision 1 of checkout is not sealed to site2-syncer"):
        ordered(placed(), sealed=without)


def test_a_target_with_its_own_key_needs_no_sealed_one() -> None:
    assert deployment(placed(), {}, {}, place="hub", service="pusher") is not None
