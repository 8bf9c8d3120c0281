"""The TLS Secrets in a site's clusters: as its syncer tells the registry, and as the registry shows them."""

from pydantic import AwareDatetime, Field

from certcore.api import Paged
from certcore.events import DiscoveredSecret
from certcore.reading import Items, ReadModel

__all__ = ["ReviewedSecret", "SecretName", "SiteReview", "SiteReviewUpdate"]


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


class ReviewedSecret(DiscoveredSecret):
    """`managed` is the certbus certificate that the Secret carries, where it carries one."""

    managed: str | None = None
    in_days: int | None = None


class SiteReview(Paged):
    """A page of it, soonest expiry first."""

    site: str
    reported_at: AwareDatetime | None
    unreachable: tuple[str, ...]
    secrets: Items[ReviewedSecret]
