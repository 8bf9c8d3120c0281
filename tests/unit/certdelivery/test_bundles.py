import asyncio
from dataclasses import dataclass, field, replace

import pytest

from certcore.bundles import SealedBundle
from certcore.errors import TransientError
from certdelivery.bundles import BundleInvalidError, Bundles, BundleUnavailableError
from tests.issuing import Authority, recipient_key, target, wanted_for

KEY = recipient_key()
ISSUED = Authority().issue()
SEALED = ISSUED.sealed(1, KEY)
WANTED = wanted_for(ISSUED, 1, target("shelf", "web"))


@dataclass
class Source:
    served: SealedBundle | None = SEALED
    asked: list[tuple[str, int, str]] = field(default_factory=list)

    async def fetch_bundle(self, certificate_id: str, revision: int, variant: str) -> SealedBundle:
        self.asked.append((certificate_id, revision, variant))
        await asyncio.sleep(0)
        if self.served is None:
            raise TransientError("away")
        return self.served


async def test_a_bundle_is_fetched_once_for_all_and_kept() -> None:
    source = Source()
    bundles = Bundles(source=source, key=KEY)
    opened = await asyncio.gather(*(bundles.open(WANTED, SEALED.sha256()) for _ in range(5)))
    source.served = None
    opened.append(await bundles.open(WANTED, SEALED.sha256()))
    assert {bundle.key_pem for bundle in opened} == {ISSUED.key_pem}
    assert source.asked == [(WANTED.certificate_id, 1, "platform")]


async def test_each_variant_is_a_bundle_of_its_own_and_may_have_no_key() -> None:
    keyless = SEALED.model_copy(update={"variant": "vault", "key": None})
    source = Source(keyless)
    bundle = await Bundles(source=source, key=KEY).open(replace(WANTED, variant="vault"), keyless.sha256())
    assert bundle.key_pem is None
    assert source.asked == [(WANTED.certificate_id, 1, "vault")]


async def test_what_is_not_what_the_order_names_is_invalid() -> None:
    for served, digest in (
        (SEALED, "0" * 64),
        (SEALED.model_copy(update={"revision": 2}), SEALED.sha256()),
        (SEALED.model_copy(update={"variant": "vault"}), SEALED.sha256()),
        (ISSUED.sealed(1, recipient_key()), None),
    ):
        with pytest.raises(BundleInvalidError):
            await Bundles(source=Source(served), key=KEY).open(WANTED, digest or served.sha256())


async def test_a_bundle_that_is_not_served_now_may_be_later() -> None:
    source = Source(None)
    bundles = Bundles(source=source, key=KEY)
    with pytest.raises(BundleUnavailableError):
        await bundles.open(WANTED, SEALED.sha256())
    source.served = SEALED
    assert (await bundles.open(WANTED, SEALED.sha256())).leaf == ISSUED.leaf
