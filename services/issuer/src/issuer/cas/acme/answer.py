"""What a CA answered to one question, whatever it says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, TypeVar
from urllib.parse import urljoin

from pydantic import BaseModel, ValidationError

from issuer.domain.errors import CaUnreachableError
from issuer.domain.retry_after import parse_http_date, parse_retry_after

__all__ = ["Answer"]

BodyT = TypeVar("BodyT", bound=BaseModel)

_LINK: Final = re.compile(r"<([^<>\s]{1,2000})>\s*((?:;[^,<>]*)*)")
_REL: Final = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"]+))", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """`headers` by lower-case name; `links` are the values of Link, which may come several times."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    links: tuple[str, ...] = ()

    @property
    def nonce(self) -> str | None:
        return self.headers.get("replay-nonce")

    @property
    def location(self) -> str | None:
        """The URL of what was made, also where the CA tells only its path."""
        told = self.headers.get("location")
        return urljoin(self.url, told) if told else None

    @property
    def retry_after(self) -> timedelta | None:
        """Dates are measured against the answer's own Date, so that no clock of ours matters."""
        told = self.headers.get("retry-after")
        if told is None:
            return None
        return parse_retry_after(told, now=parse_http_date(self.headers.get("date")))

    def linked(self, relation: str) -> tuple[str, ...]:
        """Where the links of this relation (RFC 8288) lead, in the CA's order."""
        found = []
        for value in self.links:
            for target, parameters in _LINK.findall(value):
                rel = _REL.search(parameters)
                if rel and relation in (rel[1] or rel[2] or "").lower().split():
                    found.append(urljoin(self.url, target))
        return tuple(found)

    def read(self, model: type[BodyT]) -> BodyT:
        """The body, read whatever content type it is said to have.

        Raises:
            CaUnreachableError: it isn't of this form.
        """
        try:
            return model.model_validate_json(self.body)
        except ValidationError as error:
            places = {".".join(map(str, item["loc"])) or "body" for item in error.errors(include_input=False)}
            raise CaUnreachableError(f"{self.url} answered what can't be read: {', '.join(sorted(places))}") from None
