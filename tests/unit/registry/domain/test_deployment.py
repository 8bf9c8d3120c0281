import pytest

from certcore.errors import PermanentError
from registry.domain.deployment import deployments
from tests.unit.registry.samples import certificate, revision, spec

TARGETS = [
    {"kind": "files", "name": "web", "site": "site1"},
    {"kind": "files", "name": "b", "site": "site1"},
    {"kind": "haproxy", "name": "c", "site": "site1"},
    {"kind": "files", "name": "d", "site": "site2"},
]
SEALED = {"site1-syncer": b"1", "site1-pusher": b"2", "site2-syncer": b"3"}


def test_each_service_of_each_site_gets_one_order_with_its_own_targets() -> None:
    found = deployments(certificate(spec=spec(targets=TARGETS)), revision(), SEALED)
    targets = {(item.site, item.service): [target.name for target in item.order.targets] for item in found}
    assert targets == {("site1", "pusher"): ["c"], ("site1", "syncer"): ["web", "b"], ("site2", "syncer"): ["d"]}


def test_each_order_refers_to_the_bundle_of_its_recipient() -> None:
    found = deployments(certificate(spec=spec(targets=TARGETS)), revision(), SEALED)
    assert len({item.order.bundle_sha256 for item in found}) == 3


def test_a_recipient_without_a_sealed_key_stops_the_whole() -> None:
    without = {name: key for name, key in SEALED.items() if name != "site2-syncer"}
    with pytest.raises(PermanentError, match="not sealed to site2-syncer"):
        deployments(certificate(spec=spec(targets=TARGETS)), revision(), without)
