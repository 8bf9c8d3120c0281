"""A private CA without ACME: asked once with a CSR, it answers with the chain."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from pydantic import BaseModel, ConfigDict, Field

from certcore.names import Label
from issuer.domain.ca_traits import CaTraits
from issuer.domain.job import JobId

__all__ = ["PROFILES", "SigningCa", "SigningCaSettings", "SigningKind", "SigningRequest", "Usage", "signing_instant"]


class Usage(StrEnum):
    """What a leaf is for (RFC 5280 §4.2.1.12)."""

    SERVER = "server"
    CLIENT = "client"


PROFILES: Final[Mapping[str | None, frozenset[Usage]]] = {
    None: frozenset({Usage.SERVER}),
    "server": frozenset({Usage.SERVER}),
    "client": frozenset({Usage.CLIENT}),
    "server-client": frozenset({Usage.SERVER, Usage.CLIENT}),
}
"""What a leaf is for by the profile of the issue order; a CA without ACME has these."""


@dataclass(frozen=True)
class SigningRequest:
    """`at` is the instant that the certificate is counted from, the same whenever the job asks again."""

    job: JobId
    csr_der: bytes
    dns_names: tuple[str, ...]
    at: datetime
    usages: frozenset[Usage] = frozenset({Usage.SERVER})


class SigningCa(Protocol):
    """Signs what a CSR asks for, if its names are those of the request.

    Safe to repeat: the same request gets the same X.509 certificate, byte for byte, from each host that has the same
    CA, also after a crash between signing and storing.
    """

    @property
    def name(self) -> str: ...

    async def sign(self, request: SigningRequest) -> str:
        """The chain as PEM, leaf first, without the root.

        Raises:
            SigningRefusedError: it may not sign this; the message says what is in the way.
        """
        ...


class SigningCaSettings(BaseModel):
    """What the settings of each signing CA have; those of a kind are strict and its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: str
    name: Label
    common_name: bool = Field(default=False, description="Whether the first name is the subject's common name, too.")

    @property
    def traits(self) -> CaTraits:
        return CaTraits(public=False, common_name=self.common_name)


class SigningKind(Protocol):
    """What the entry point of a signing CA is, in the group `certbus.cas`."""

    @property
    def kind(self) -> str: ...

    @property
    def settings(self) -> type[SigningCaSettings]: ...

    def make(self, settings: SigningCaSettings) -> SigningCa:
        """
        Raises:
            CaUnfitError: the CA can't sign as it is configured.
        """
        ...


_ONE_CERTIFICATE_FOR: Final = timedelta(days=1)


def signing_instant(accepted_at: datetime, *, now: datetime) -> datetime:
    """The instant that a job's certificate is counted from: that of its acceptance, or a whole number of days later.

    It is the same for a day, so a crash in between changes nothing; a job that waited for weeks, or whose
    certificate has expired and is issued anew, still gets one of full length.
    """
    return accepted_at + max((now - accepted_at) // _ONE_CERTIFICATE_FOR, 0) * _ONE_CERTIFICATE_FOR
