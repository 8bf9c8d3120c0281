from dataclasses import dataclass, field

from certcore.cloudevents import Envelope
from certcore.errors import TransientError
from certcore.events import CsrOffered, CsrWanted
from certcore.targets import Capabilities, KeyHolder
from tests.issuing import target
from tests.unit.certdelivery.shelf import Shelf, World

WANTED = CsrWanted(
    certificate_id="crt-0001",
    name="shop",
    revision=2,
    variant="vault",
    target=target("shelf", "vault"),
    dns_names=("shop.example.org",),
    key_algorithm="ec-p256",
)
ENVELOPE = Envelope(id="e", source="/test", type="t", subject="s")
OWN_KEY = Capabilities(key_holder=KeyHolder.TARGET)


@dataclass
class Vault(Shelf):
    """A shelf that makes its own key."""

    capabilities: Capabilities = OWN_KEY
    csr_pem: str = "-----BEGIN CERTIFICATE REQUEST-----"
    asked: list[int] = field(default_factory=list)
    broken: bool = False

    async def offer(self, wanted: CsrWanted) -> str:
        self.asked.append(wanted.revision)
        if self.broken:
            raise TransientError("the vault is locked")
        return self.csr_pem


def _offered(world: World) -> list[CsrOffered]:
    return [event for event in world.reported if isinstance(event, CsrOffered)]


async def test_a_wanted_csr_is_asked_of_the_target_and_reported_once() -> None:
    world, vault = World(csrs=[WANTED]), Vault()
    engine = world.engine(a=vault)
    for _ in range(3):
        await engine.reconcile()
    assert _offered(world) == [
        CsrOffered(certificate_id="crt-0001", target="vault", revision=2, variant="vault", csr_pem=vault.csr_pem)
    ]
    await engine.close()


async def test_it_is_reported_again_where_the_registry_asks_or_the_target_changed_it() -> None:
    world, vault = World(csrs=[WANTED]), Vault()
    engine = world.engine(a=vault)
    await engine.reconcile()
    await engine.handlers[CsrWanted](WANTED, ENVELOPE)
    assert len(_offered(world)) == 2
    vault.csr_pem = "another"
    await engine.reconcile()
    assert [event.csr_pem for event in _offered(world)][-1] == "another"
    await engine.close()


async def test_a_target_that_can_t_offer_one_now_is_asked_again() -> None:
    world, vault = World(csrs=[WANTED]), Vault(broken=True)
    engine = world.engine(a=vault)
    await engine.reconcile()
    assert _offered(world) == []
    vault.broken = False
    await engine.reconcile()
    assert len(_offered(world)) == 1
    await engine.close()


async def test_a_kind_that_makes_no_key_is_asked_for_nothing() -> None:
    world, shelf = World(csrs=[WANTED]), Shelf()
    engine = world.engine(a=shelf)
    await engine.reconcile()
    await engine.handlers[CsrWanted](WANTED, ENVELOPE)
    assert world.reported == []
    await engine.close()


async def test_a_name_that_is_none_reaches_no_driver() -> None:
    for change in ({"name": "../up"}, {"certificate_id": "a.b"}, {"target": target("shelf", "a b")}):
        world, vault = World(csrs=[WANTED.model_copy(update=change)]), Vault()
        engine = world.engine(a=vault)
        await engine.reconcile()
        assert vault.asked == []
        await engine.close()
