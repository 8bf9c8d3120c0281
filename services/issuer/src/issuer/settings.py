from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SerializeAsAny,
    Tag,
    model_validator,
)
from pydantic_settings import SettingsConfigDict

from certcore.errors import SealingError
from certcore.names import Label
from certcore.sealing import decode_public_key
from certkit.settings import RegistrySettings, ServiceSettings, SettingFault
from issuer.adapters.dns_settings import DnsSettings
from issuer.cas.acme.settings import CaSettings
from issuer.domain.blocked_keys import parse_blocked
from issuer.domain.signing import SigningCaSettings
from issuer.installed_solvers import solver_faults
from issuer.signing_kinds import read_by_kind, signing_faults

__all__ = [
    "OrderLossSettings",
    "OutageSettings",
    "PolicySettings",
    "Settings",
]


# A union of types, not Any: so a list in an environment variable is read as JSON.
_Value = str | int | float | bool | list[Any] | dict[str, Any]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OrderLossSettings(_Settings):
    """What it takes to believe a CA that it has an order no more: another one may be a second certificate."""

    denials: Annotated[int, Field(ge=2)] = Field(
        default=4, description="Problem documents in a row that deny the order, while the account is answered."
    )
    over_s: Annotated[float, Field(gt=0)] = Field(
        default=180.0, description="So long after the first the last comes."
    )
    over_after_finalize_s: Annotated[float, Field(gt=0)] = Field(
        default=900.0, description="As over_s, where a finalize may have been sent."
    )


class OutageSettings(_Settings):
    """When a CA counts as away, and for how long it isn't asked then."""

    failures: Annotated[int, Field(ge=1)] = Field(default=5, description="In a row, of whatever jobs.")
    first_pause_s: Annotated[float, Field(gt=0)] = Field(default=5.0, description="Doubled at each look in vain.")
    longest_pause_s: Annotated[float, Field(gt=0)] = 60.0
    fallback_after_s: Annotated[float, Field(ge=0)] = Field(
        default=1800.0, description="Away for so long, its jobs go to the next CA that their issue orders allow."
    )


def _how_it_issues(value: object) -> str:
    kind = value.get("kind", "acme") if isinstance(value, Mapping) else getattr(value, "kind", "acme")
    return "acme" if kind == "acme" else "signing"


AnyCaSettings = Annotated[
    Annotated[CaSettings, Tag("acme")]
    | Annotated[SerializeAsAny[SigningCaSettings], BeforeValidator(read_by_kind), Tag("signing")],
    Discriminator(_how_it_issues),
]


class PolicySettings(_Settings):
    """Which CA issues by exposure, where neither the issue order nor the request names one; `private` gets what that
    one can't issue, such as names that aren't public.
    """

    internal: Label
    public: Label
    private: Label | None = None


def _public_key(encoded: str) -> str:
    try:
        decode_public_key(encoded)
    except SealingError as error:
        raise ValueError(f"is {error}") from None
    return encoded


def _blocked(path: Path) -> Path:
    try:
        parse_blocked(path.read_text())
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text") from None
    return path


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CERTBUS_ISSUER_")

    registry: RegistrySettings
    database_url: str = Field(description="sqlite:///… or postgresql://…")
    state_folder: Path = Field(description="The journal's key, mode 0600: back it up.")
    journal_key_file: Path | None = Field(
        default=None,
        description="File with 32 bytes in base64url, mode 0600, that seal the account keys in the journal. By"
        " default `journal.key` in the state folder, made where there is none. Issuers on one PostgreSQL journal are"
        " given the same file.",
    )
    cas: Annotated[tuple[AnyCaSettings, ...], Field(min_length=1)]
    policy: PolicySettings
    solvers: dict[Label, dict[str, _Value]] = Field(
        default_factory=dict,
        description="Name of the solver, and its settings: `kind`, `match`, and those of its kind.",
    )
    dns: DnsSettings = DnsSettings()
    orders_every_s: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="How often the registry's list of orders is read; events tell of them sooner."
    )
    orphans_every_s: Annotated[float, Field(gt=0)] = Field(
        default=300.0, description="How often orders that were given up are tidied up at their CA."
    )
    renewal_windows_every_s: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="How often CAs are asked for the renewal windows that are due to be asked for."
    )
    waits_every_s: Annotated[float, Field(gt=0)] = Field(
        default=30.0, description="How often the registry is told what orders wait for, where that changed."
    )
    crls_every_s: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="How often it is made sure that the CRLs of the CAs by files are whole and current."
    )
    heartbeat_every_s: Annotated[float, Field(gt=0)] = 15.0
    escrow_public_key: Annotated[str, AfterValidator(_public_key)] | None = Field(
        default=None,
        description="Of the escrow, as `python -m issuer escrow init` prints it. Without it no key is sealed again.",
    )
    blocked_keys_file: Annotated[Path, AfterValidator(_blocked)] | None = Field(
        default=None,
        description="SHA-256 of public keys for which nothing is issued, one in hex a line; read at the start.",
    )
    rsa_keys_ahead: Annotated[int, Field(ge=0, le=64)] = Field(
        default=4, description="So many RSA keys of each size that is asked for lie ready in memory."
    )
    order_patience_s: Annotated[float, Field(gt=0)] = Field(
        default=60.0,
        description="A CA that answers, but not about one order, for this long has lost that order.",
    )

    order_loss: OrderLossSettings = OrderLossSettings()
    outage: OutageSettings = OutageSettings()

    @property
    def acme_cas(self) -> tuple[CaSettings, ...]:
        return tuple(ca for ca in self.cas if isinstance(ca, CaSettings))

    @property
    def signing_cas(self) -> tuple[SigningCaSettings, ...]:
        return tuple(ca for ca in self.cas if isinstance(ca, SigningCaSettings))

    def faults(self) -> Sequence[SettingFault]:
        signing = [(number, ca) for number, ca in enumerate(self.cas) if isinstance(ca, SigningCaSettings)]
        needed = {ca.name: ca.challenges for ca in self.acme_cas}
        return [
            *signing_faults(signing),
            *solver_faults(self.solvers, views=self.dns.views, needed=needed),
        ]

    def blocked_keys(self) -> frozenset[str]:
        return (
            parse_blocked(self.blocked_keys_file.read_text()) if self.blocked_keys_file is not None else frozenset()
        )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [ca.name for ca in self.cas]
        if len(set(names)) < len(names):
            raise ValueError("cas: two CAs have one name")
        for field in ("internal", "public", "private"):
            ca = getattr(self.policy, field)
            if ca is not None and ca not in names:
                raise ValueError(f"policy.{field}: there is no CA named {ca}")
        return self
