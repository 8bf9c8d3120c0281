"""What the monitor remembers over a restart."""

from pydantic import AwareDatetime, BaseModel, ConfigDict

from certcore.events import AlertRaised, EndpointObserved, EndpointsExpected

__all__ = ["EndpointRecord", "Expected", "Key"]

Key = tuple[str, str]
"""Certificate id and URL: the same URL may be watched for two certificates, and judged differently."""


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Expected(_Kept):
    """`since`: when the wanted revision was first heard of, which is the start of its roll-out."""

    event: EndpointsExpected
    since: AwareDatetime

    def revision_of(self, fingerprint_sha256: str) -> int | None:
        """The accepted revision that has this fingerprint; a revision may have several."""
        return next(
            (item.revision for item in self.event.accepted if item.fingerprint_sha256 == fingerprint_sha256), None
        )


class EndpointRecord(_Kept):
    """`proven_revision` is the newest that was ever seen here as wanted, `ever_served` tells of any accepted one.

    `bad_looks` counts those in a row, `critical_looks` those among them at which clients would have failed;
    `episode` counts the alerts that were ever raised, and `alert` is the open one.
    """

    certificate_id: str
    url: str
    observed: EndpointObserved | None = None
    proven_revision: int | None = None
    ever_served: bool = False
    bad_looks: int = 0
    critical_looks: int = 0
    episode: int = 0
    alert: AlertRaised | None = None

    @property
    def key(self) -> Key:
        return (self.certificate_id, self.url)
