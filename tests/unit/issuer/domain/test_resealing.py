"""The escrow seals again what is wanted, only of the key that it should be, and only for whom it says."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from certcore.bundles import ResealWanted, SealedBundle, SealedKey
from certcore.errors import SealingError
from certcore.events import Recipient
from certcore.identities import ESCROW
from certcore.inspection import read_chain
from certcore.sealing import RecipientKey, SealContext, seal
from issuer.domain.resealing import reseal
from tests.authority import Authority

ESCROW_KEY = RecipientKey(ESCROW, X25519PrivateKey.generate())
SITES = [RecipientKey(name, X25519PrivateKey.generate()) for name in ("site1-syncer", "site2-syncer")]
ISSUED = Authority().issue("app.example.org")
SPKI = read_chain(ISSUED.chain_pem.encode())[0].spki_sha256


def copy(key_pem: str = ISSUED.key_pem, key: RecipientKey = ESCROW_KEY, **context: Any) -> SealedKey:
    bound = SealContext(
        **{"recipient": ESCROW, "certificate_id": "c", "revision": 3, "variant": "platform", **context}
    )
    return SealedKey.of(ESCROW, seal(key_pem.encode(), public_key=key.public_key, context=bound), key.key_id)


def wanted(**changes: Any) -> ResealWanted:
    fields: dict[str, Any] = {
        "certificate_id": "c",
        "revision": 3,
        "spki_sha256": SPKI,
        "key": copy(),
        "recipients": tuple(Recipient(name=key.name, public_key=key.public_key) for key in SITES),
    }
    return ResealWanted(**{**fields, **changes})


def test_each_recipient_opens_its_own_copy_and_no_other() -> None:
    keys = reseal(wanted(), ESCROW_KEY)
    assert [(key.recipient, key.key_id) for key in keys] == [(site.name, site.key_id) for site in SITES]
    for site, key in zip(SITES, keys, strict=True):
        bundle = SealedBundle(certificate_id="c", revision=3, chain_pem=ISSUED.chain_pem, key=key, variant="platform")
        assert bundle.open(site).key_pem == ISSUED.key_pem.encode()
        for other in SITES:
            if other is not site:
                with pytest.raises(SealingError):
                    bundle.open(other)
        with pytest.raises(SealingError):
            bundle.model_copy(update={"revision": 4}).open(site)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"key": copy(key=RecipientKey(ESCROW, X25519PrivateKey.generate()))}, "must be sealed again"),
        ({"key": copy().model_copy(update={"key_id": None})}, "must be sealed again"),
        ({"key": copy(certificate_id="other")}, "can't be opened"),
        ({"revision": 4}, "can't be opened"),
        ({"variant": "platform-rsa"}, "can't be opened"),
        ({"key": copy(Authority().issue("b.example.org").key_pem)}, "another than that of the leaf"),
        ({"key": copy("no key")}, "another than that of the leaf"),
        ({"recipients": (Recipient(name="site1-syncer", public_key="none"),)}, "not an X25519 public key"),
        ({"recipients": (Recipient(name=ESCROW, public_key=SITES[0].public_key),)}, "not sealed to the escrow again"),
    ],
)
def test_what_is_not_as_it_should_be_is_not_sealed(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(SealingError, match=why) as told:
        reseal(wanted(**changes), ESCROW_KEY)
    assert "PRIVATE KEY" not in str(told.value)
