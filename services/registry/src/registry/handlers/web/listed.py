"""Which certificates the page shows: the parameters of its URL, as its form sends them."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlencode

from pydantic import ValidationError
from starlette.datastructures import QueryParams

from certcore.certificate_list import CertificateQuery, parameters
from certcore.rejection import RejectedError, Rejection
from registry.adapters.store.listing import Place
from registry.handlers.http.certificates_api import cursor_at, read_place

__all__ = ["Shown"]


@dataclass(frozen=True)
class Shown:
    """A query, and where the page that is shown begins."""

    query: CertificateQuery
    after: Place | None

    @classmethod
    def of(cls, given: QueryParams) -> Self:
        """What a URL asks for. A form sends the fields that nobody filled in, too: they ask for nothing.

        Raises:
            RejectedError: it asks for something that there is not.
        """
        values: dict[str, list[str]] = {}
        for name, value in given.multi_items():
            if value:
                values.setdefault(name, []).append(value)
        cursor = values.pop("after", [None])[-1]
        several = {"label", "facets"}
        try:
            query = CertificateQuery.model_validate(
                {name: value if name in several else value[-1] for name, value in values.items()}
            )
        except ValidationError as error:
            raise RejectedError(
                [
                    Rejection(field=".".join(map(str, fault["loc"]))[:300], message=fault["msg"][:300])
                    for fault in error.errors(include_input=False, include_url=False, include_context=False)
                ]
            ) from None
        return cls(query, read_place(query.sort, cursor))

    def following(self, further: Place | None) -> str | None:
        """The URL of the next page; None at the end."""
        if further is None:
            return None
        return "/?" + urlencode([*parameters(self.query), ("after", cursor_at(self.query.sort, further))])
