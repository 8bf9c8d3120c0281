import pytest
from pydantic import BaseModel

from certcore.events import DeliveryReason
from certcore.intent import Target
from certcore.targets import FILES, HAPROXY, KUBERNETES, TargetKind
from certdelivery.drivers import built, load_drivers, setting_faults
from certdelivery.model import Destination
from certdelivery.target import DriverContext
from tests.issuing import NOON

CONTEXT = DriverContext(place="site1", user_agent="test", clock=lambda: NOON)


def test_a_service_loads_the_drivers_of_its_own_kinds_only() -> None:
    assert set(load_drivers("syncer")) == {"files", "kubernetes"}
    assert set(load_drivers("pusher")) == {"haproxy"}
    assert load_drivers("monitor") == {}


def test_destinations_are_built_in_the_order_of_the_settings() -> None:
    settings = {"files": {"b": {"directory": "/b"}, "a": {"directory": "/a"}}}
    ports = built(load_drivers("syncer"), settings, CONTEXT)
    assert list(ports) == [Destination("files", "b"), Destination("files", "a")]


def test_a_wrong_setting_is_named_by_its_field() -> None:
    settings: dict[str, dict[str, dict[str, object]]] = {
        "files": {"default": {"directory": 7, "colour": "red"}},
        "moon": {"far": {}},
    }
    faults = {".".join(fault.field): fault.problem for fault in setting_faults("syncer", settings)}
    assert set(faults) == {"targets.files.default.directory", "targets.files.default.colour", "targets.moon"}
    assert "files, kubernetes" in faults["targets.moon"]


@pytest.mark.parametrize(("kind", "service"), [(FILES, "syncer"), (KUBERNETES, "syncer"), (HAPROXY, "pusher")])
def test_every_driver_takes_what_its_door_lets_in_and_never_breaks_on_what_it_doesn_t(
    kind: TargetKind, service: str
) -> None:
    driver = load_drivers(service)[kind.kind]
    assert issubclass(driver.settings, BaseModel)
    assert driver.at_once >= 1
    required = {"name": "web", "site": "site1", "namespaces": ["shop"], "secret": "tls"}
    known = {name: value for name, value in required.items() if name in kind.request.model_fields}
    asked = kind.request.model_validate({"kind": kind.kind, **known})
    target = Target.model_validate(asked.model_dump(mode="json"))
    assert driver.destinations(target, ["default"]).found == ("default",)
    for value in (None, 7, "../up", "", [], [None], {"a": 1}, "x" * 5000):
        fields = dict.fromkeys(asked.model_dump(exclude={"name", "kind", "site"}), value)
        odd = Target.model_validate({"name": "web", "kind": kind.kind, **fields})
        found = driver.destinations(odd, ["default"])
        assert found.found == () or found == driver.destinations(target, ["default"])
        assert {failure.reason for failure in found.failures} <= {
            DeliveryReason.UNREADABLE_ORDER,
            DeliveryReason.UNKNOWN_PLACE,
        }
