"""What a preset says of a CA with ACME, and what becomes of it with the operator's own settings: explicit wins."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from certcore.certificate import KeyAlgorithm
from certcore.loopback import is_loopback
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.ca_traits import CaTraits

__all__ = ["ALL_KEYS", "AcmeCaFacts", "Binding", "Given", "Preset", "PresetError", "Profile", "Tried", "apply"]

ALL_KEYS: Final = frozenset(KeyAlgorithm)


class Binding(StrEnum):
    """External account binding (RFC 8555 §7.3.4)."""

    NEVER = "never"
    OPTIONAL = "optional"
    """The CA's own configuration decides."""
    NEEDED = "needed"
    """Whether a kid may bind several accounts isn't documented."""
    REUSABLE = "reusable"
    """Needed; one kid may bind several accounts."""
    ONCE = "once"
    """Needed; a kid binds one account, ever: the account's key must not get lost."""


_NEEDED: Final = frozenset({Binding.NEEDED, Binding.REUSABLE, Binding.ONCE})


class Tried(StrEnum):
    """How far certbus's own tests go."""

    RUNS = "runs in the tests"
    READ = "read in the documentation, not tried"


@dataclass(frozen=True)
class Profile:
    """`max_names` None is that of the CA; `ended` tells since when it is no more."""

    name: str
    max_names: int | None = None
    ended: str | None = None


@dataclass(frozen=True, kw_only=True)
class Preset:
    """`public` is None where only the operator knows. `directory_urls` are those that the CA documents, the usual one
    first; empty where each installation has its own. `any_directory` allows others, too: of a region, a product or a
    customer.

    `account_keys` are the ones to choose from: each server takes P-256 (RFC 8555 §6.2). `challenges` are by their
    names in ACME, also those that certbus doesn't solve. `key_change` tells whether the account's key can be changed
    (RFC 8555 §7.3.5), `ari` whether the CA tells renewal windows (RFC 9773). `challenges`, `profiles`, `key_change`
    and `ari` are None where it isn't documented. `pre_validated` tells that an order may be ready at once, with
    authorizations that were valid before or have no challenge to answer. `limits` names the limits that the budget
    is to keep; None where none are documented. `sibling` is the preset of its own CA for tests, which needs nothing
    that this one doesn't.
    """

    name: str
    title: str
    tried: Tried
    public: bool | None = None
    directory_urls: tuple[str, ...] = ()
    any_directory: bool = False
    binding: Binding = Binding.NEVER
    contact_needed: bool = False
    account_keys: frozenset[KeyAlgorithm] = frozenset({KeyAlgorithm.EC_P256})
    leaf_keys: frozenset[KeyAlgorithm] = ALL_KEYS
    leaf_keys_by_directory: Mapping[str, frozenset[KeyAlgorithm]] | None = None
    challenges: frozenset[str] | None = None
    pre_validated: bool = False
    key_change: bool | None = None
    common_name: bool = False
    profiles: tuple[Profile, ...] | None = None
    profile: str | None = None
    preferred_chain: str | None = None
    ari: bool | None = None
    max_names: int | None = None
    limits: str | None = None
    sibling: str | None = None


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the operator set; None is what is left to the preset."""

    directory_url: str | None = None
    has_binding: bool = False
    contact: str | None = None
    challenges: tuple[ChallengeKind, ...] | None = None
    profile: str | None = None
    preferred_chain: str | None = None
    public: bool | None = None
    common_name: bool | None = None
    key_algorithms: frozenset[KeyAlgorithm] | None = None
    max_names: int | None = None
    limits: str | None = None


@dataclass(frozen=True, kw_only=True)
class AcmeCaFacts:
    """What the issuer needs to know of a CA with ACME."""

    directory_url: str
    challenges: tuple[ChallengeKind, ...]
    profile: str | None
    preferred_chain: str | None
    traits: CaTraits
    account_keys: frozenset[KeyAlgorithm]
    pre_validated: bool
    key_change: bool | None
    ari: bool | None
    limits: str | None


class PresetError(ValueError):
    """`field` is the setting that contradicts the preset, or that is missing."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field


def apply(preset: Preset, given: Given) -> AcmeCaFacts:
    """The facts of a CA: those of the preset, where the operator set no others.

    Raises:
        PresetError: something needed is missing, or what is set can't be so at this CA.
    """
    for contradiction in _contradictions(preset, given):
        raise contradiction
    url = given.directory_url or preset.directory_urls[0]
    profile = given.profile or preset.profile
    by_directory = (preset.leaf_keys_by_directory or {}).get(url, preset.leaf_keys)
    return AcmeCaFacts(
        directory_url=url,
        challenges=_usual_challenges(preset) if given.challenges is None else given.challenges,
        profile=profile,
        preferred_chain=given.preferred_chain or preset.preferred_chain,
        traits=CaTraits(
            public=next((told for told in (given.public, preset.public) if told is not None), True),
            common_name=preset.common_name if given.common_name is None else given.common_name,
            key_algorithms=given.key_algorithms or (None if by_directory == ALL_KEYS else by_directory),
            max_names=given.max_names or _max_names(preset, profile),
        ),
        account_keys=preset.account_keys,
        pre_validated=preset.pre_validated,
        key_change=preset.key_change,
        ari=preset.ari,
        limits=given.limits or preset.limits,
    )


def _contradictions(preset: Preset, given: Given) -> Iterator[PresetError]:
    title = preset.title
    if given.directory_url is None and not preset.directory_urls:
        yield PresetError("directory_url", f"{title} has an address of its own: set it")
    if given.directory_url is not None and not _confidential(given.directory_url):
        yield PresetError("directory_url", "must begin with https://")
    known = not preset.directory_urls or given.directory_url in (None, *preset.directory_urls)
    if not known and not preset.any_directory:
        urls = " or ".join(preset.directory_urls)
        yield PresetError("directory_url", f"that of {title} is {urls}: leave this or preset out")
    if preset.binding in _NEEDED and not given.has_binding:
        yield PresetError("eab", f"{title} needs one: set kid and hmac_key_file as it gave them")
    if preset.binding is Binding.NEVER and given.has_binding:
        yield PresetError("eab", f"{title} has none: leave this out")
    if preset.contact_needed and given.contact is None:
        yield PresetError("contact", f"{title} issues nothing for an account without a mail address: set it")
    for kind in given.challenges or ():
        if preset.challenges is not None and kind not in preset.challenges:
            yield PresetError("challenges", f"{title} has no {kind}")
    yield from _of_profile(preset, given.profile)
    if given.public is False and preset.public:
        yield PresetError("public", f"the world trusts {title}: leave this out")
    limit = _max_names(preset, given.profile or preset.profile)
    if given.max_names is not None and limit is not None and given.max_names > limit:
        yield PresetError("max_names", f"{title} certifies {limit} names at once")
    if given.key_algorithms is not None and not given.key_algorithms <= preset.leaf_keys:
        beyond = ", ".join(sorted(given.key_algorithms - preset.leaf_keys))
        yield PresetError("key_algorithms", f"{title} takes no keys of {beyond}")


def _confidential(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def _of_profile(preset: Preset, name: str | None) -> Iterator[PresetError]:
    if name is None or preset.profiles is None:
        return
    if not preset.profiles:
        yield PresetError("profile", f"{preset.title} has no profiles: leave this out")
    # A name that isn't listed here may be a newer one: the CA's directory tells.
    for profile in preset.profiles:
        if profile.name == name and profile.ended is not None:
            yield PresetError("profile", f"{preset.title} ended {name} on {profile.ended}")


def _usual_challenges(preset: Preset) -> tuple[ChallengeKind, ...]:
    """http-01 needs no further settings."""
    if preset.challenges is None or ChallengeKind.HTTP_01 in preset.challenges:
        return (ChallengeKind.HTTP_01,)
    return tuple(kind for kind in ChallengeKind if kind in preset.challenges)


def _max_names(preset: Preset, profile: str | None) -> int | None:
    of_profile = [one.max_names for one in preset.profiles or () if one.name == profile]
    return next((limit for limit in of_profile if limit is not None), preset.max_names)
