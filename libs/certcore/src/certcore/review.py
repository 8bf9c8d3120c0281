"""What a site's syncer tells the registry of the TLS Secrets in its clusters: all of them once, then what changed."""

from pydantic import Field

from certcore.events import DiscoveredSecret
from certcore.reading import Items, ReadModel

__all__ = ["SecretName", "SiteReviewUpdate"]


class SecretName(ReadModel):
    cluster: str
    namespace: str
    secret: str


class SiteReviewUpdate(ReadModel):
    """`digest` names the whole review as it is after this update; only the syncer knows how it is made.

    With a `base`, `changed` and `gone` are the difference to the review of that digest. Without one, `changed` is a
    part of the whole, and what no part of the same digest named is gone after the last; `more`: another part follows.
    `unreachable` names the clusters that could not be listed; their Secrets are as they were listed last.
    """

    digest: str = Field(pattern=r"^[!-~]{1,64}$")
    base: str | None = None
    changed: Items[DiscoveredSecret] = ()
    gone: tuple[SecretName, ...] = ()
    unreachable: tuple[str, ...] = ()
    more: bool = False
