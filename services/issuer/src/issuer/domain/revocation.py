"""Whether a leaf may be revoked, and who of us asks its CA: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from certcore.inspection import X509Certificate
from issuer.domain.job import JobId
from issuer.domain.revoked import Revocation, RevocationReason

__all__ = ["Asked", "CaSort", "Decision", "KnownLeaf", "RevocationVerdict", "Way", "decide_revocation"]


class RevocationVerdict(StrEnum):
    ALLOWED = "allowed"
    FORCED = "forced"
    WAS_REVOKED = "was_revoked"
    STILL_SERVED = "still_served"
    EXPIRED = "expired"
    CA_UNKNOWN = "ca_unknown"
    OTHER_CA = "other_ca"
    OTHER_KEY = "other_key"


class CaSort(StrEnum):
    """How a configured CA learns of a revocation."""

    ACME = "acme"
    SIGNING = "signing"


class Way(StrEnum):
    BY_ACCOUNT = "by_account"
    BY_OWN_KEY = "by_own_key"
    BY_LIST = "by_list"
    """A CA that signs here: its list of revoked certificates (CRL)."""


@dataclass(frozen=True)
class Asked:
    """`key_spki` is the SHA-256 of the public half of the key that is to sign for it, where one was given."""

    reason: RevocationReason
    ca: str | None = None
    key_spki: str | None = None
    force: bool = False


@dataclass(frozen=True)
class KnownLeaf:
    """A job of the journal that has the leaf. `newest` tells that of its certificate and variant nothing newer, that
    isn't revoked, was handed over: so it is probably still served.
    """

    job: JobId
    name: str
    ca: str | None
    newest: bool
    revocation: Revocation | None = None


@dataclass(frozen=True)
class Decision:
    """`ca` and `way` are there where it may be done."""

    verdict: RevocationVerdict
    told: str
    ca: str | None = None
    way: Way | None = None


def decide_revocation(
    leaf: X509Certificate, known: Sequence[KnownLeaf], asked: Asked, *, cas: Mapping[str, CaSort], now: datetime
) -> Decision:
    """`known` are the jobs with this very leaf, `cas` those that are configured."""
    if leaf.not_after <= now:
        ended = f"it ended at {leaf.not_after:%Y-%m-%dT%H:%MZ}: nobody trusts it any more, and no CA revokes it"
        return Decision(RevocationVerdict.EXPIRED, ended)
    ca = _ca_of(known, asked, cas)
    if isinstance(ca, Decision):
        return ca
    if asked.key_spki is not None and asked.key_spki != leaf.spki_sha256:
        return Decision(RevocationVerdict.OTHER_KEY, f"the key is another than that of the certificate {leaf.serial}")
    return _judged(known, asked, ca, _way(cas[ca], asked))


def _judged(known: Sequence[KnownLeaf], asked: Asked, ca: str, way: Way) -> Decision:
    if any(one.revocation is not None for one in known):
        told = "the journal has it as revoked: the CA is asked again"
        return Decision(RevocationVerdict.WAS_REVOKED, told, ca, way)
    served = [one for one in known if one.newest]
    if not served:
        return Decision(RevocationVerdict.ALLOWED, _standing(known), ca, way)
    standing = f"it is the newest that was handed over of {served[0].name}, so it is probably still served"
    if asked.force:
        return Decision(RevocationVerdict.FORCED, f"{standing}; revoked all the same, as --force says", ca, way)
    way_out = f"renew it first (certbus cert renew {served[0].name}), or say --force"
    return Decision(RevocationVerdict.STILL_SERVED, f"{standing}: {way_out}")


def _ca_of(known: Sequence[KnownLeaf], asked: Asked, cas: Mapping[str, CaSort]) -> str | Decision:
    noted = next((one.ca for one in known if one.ca is not None), None)
    if noted in cas and asked.ca not in {None, noted}:
        return Decision(RevocationVerdict.OTHER_CA, f"{noted} issued it, as the journal says, and not {asked.ca}")
    # A CA that the settings call otherwise today is named by who asks.
    name = asked.ca or noted
    configured = ", ".join(sorted(cas))
    if name is None:
        unknown = f"the journal doesn't know it: name the CA that issued it by --ca, one of: {configured}"
        return Decision(RevocationVerdict.CA_UNKNOWN, unknown)
    if name not in cas:
        return Decision(RevocationVerdict.CA_UNKNOWN, f"no CA named {name} is configured, but: {configured}")
    return name


def _way(sort: CaSort, asked: Asked) -> Way:
    if sort is CaSort.SIGNING:
        return Way.BY_LIST
    return Way.BY_ACCOUNT if asked.key_spki is None else Way.BY_OWN_KEY


def _standing(known: Sequence[KnownLeaf]) -> str:
    if not known:
        return "the journal doesn't know it"
    return "it isn't the newest that was handed over of " + ", ".join(sorted({one.name for one in known}))
