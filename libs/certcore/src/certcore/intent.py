"""The intent as it is stored and carried: whatever was valid when it was accepted stays readable.

Nothing is refused here. Whoever acts on a name checks it as a token of what it becomes: a file's name, a Secret's.
"""

from pydantic import AwareDatetime, ConfigDict, Field, JsonValue

from certcore.certificate import Exposure, KeyAlgorithm, Proof
from certcore.identities import HUB
from certcore.reading import Items, Open, ReadModel

__all__ = ["Endpoint", "Intent", "Target"]


class Target(ReadModel):
    """A target of any kind; what only its kind knows stands in `fields`, as it came."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    kind: str
    site: str | None = None

    @property
    def place(self) -> str:
        return self.site or HUB

    @property
    def fields(self) -> dict[str, JsonValue]:
        return dict(self.model_extra or {})


class Endpoint(ReadModel):
    url: str
    target: str | None = None


class Intent(ReadModel):
    name: str
    dns_names: Items[str] = ()
    exposure: Open[Exposure] = Exposure.INTERNAL
    owner: str | None = None
    issuer: str | None = None
    key_algorithm: Open[KeyAlgorithm] = KeyAlgorithm.EC_P256
    targets: Items[Target] = ()
    endpoints: Items[Endpoint] = ()
    proof: Open[Proof] = Proof.ENDPOINTS
    end_date: AwareDatetime | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    contact: str | None = None
    description: str | None = None
