"""Two recipients whose keys the tests hold, so that they can open what was sealed to them."""

from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from certcore.bundles import Bundle, IssuedBundle, SealedBundle
from certcore.events import Recipient
from certcore.placements import PLATFORM
from certcore.sealing import RecipientKey

__all__ = ["KEYS", "RECIPIENTS", "opened"]

KEYS: Final = tuple(RecipientKey(name, X25519PrivateKey.generate()) for name in ("site1-syncer", "site1-pusher"))
RECIPIENTS: Final = tuple(Recipient(name=key.name, public_key=key.public_key) for key in KEYS)


def opened(issued: IssuedBundle, certificate_id: str, revision: int, variant: str = PLATFORM) -> tuple[Bundle, ...]:
    """What each recipient gets, checked as a recipient checks it."""
    bundles = []
    for key in KEYS:
        (sealed,) = (item for item in issued.keys if item.recipient == key.name)
        carried = SealedBundle(
            certificate_id=certificate_id,
            revision=revision,
            variant=variant,
            chain_pem=issued.chain_pem,
            key=sealed,
        )
        bundles.append(carried.open(key))
    return tuple(bundles)
