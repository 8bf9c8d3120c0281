"""Pages of lists as they were answered last, so that a list that didn't change is not sent again."""

from collections.abc import Collection
from dataclasses import dataclass

__all__ = ["KeptPage", "KeptPages"]


@dataclass(frozen=True)
class KeptPage:
    etag: str
    body: bytes


class KeptPages:
    """By URL. At most so many bytes are kept: what comes when it is full is not."""

    def __init__(self, *, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._pages: dict[str, KeptPage] = {}

    def get(self, url: str) -> KeptPage | None:
        return self._pages.get(url)

    def keep(self, url: str, page: KeptPage) -> None:
        self._pages.pop(url, None)
        if self._bytes() + len(page.body) <= self._most_bytes:
            self._pages[url] = page

    def keep_only(self, path: str, urls: Collection[str]) -> None:
        """Of the list at this path, forget every page but these."""
        self._pages = {url: page for url, page in self._pages.items() if url in urls or url.partition("?")[0] != path}

    def _bytes(self) -> int:
        return sum(len(page.body) for page in self._pages.values())
