from typing import Annotated

from pydantic import AfterValidator, HttpUrl

from certcore.loopback import is_loopback

__all__ = ["ServiceUrl"]


def _encrypted(url: HttpUrl) -> HttpUrl:
    if url.scheme != "https" and not is_loopback((url.host or "").strip("[]")):
        raise ValueError("must be https://…: credentials in plain text may only go to loopback addresses")
    return url


ServiceUrl = Annotated[HttpUrl, AfterValidator(_encrypted)]
"""Where a service is that is told secrets."""
