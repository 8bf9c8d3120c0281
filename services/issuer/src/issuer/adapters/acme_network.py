"""acme's network layer, made patient with nonces and exact about problems.

Beside the library's own: a bad nonce is retried with the fresh one that came with it, problem documents keep
type, subproblems and Retry-After, no setting of the environment changes where traffic goes, and what isn't
answered in five seconds counts as unanswered.
"""

import json
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import requests
from acme import errors
from acme.client import ClientNetwork
from josepy.jwa import ES256
from josepy.jwk import JWKEC
from pydantic import BaseModel, ConfigDict, ValidationError
from requests.exceptions import ReadTimeout, RequestException

from issuer.domain.errors import AcmeProblemError, CaUnreachableError, Subproblem
from issuer.domain.retry_after import parse_http_date, parse_retry_after

__all__ = ["AcmeNetwork", "ProblemDocument", "retry_after_of"]

_TIMEOUTS_S: Final = (5.0, 5.0)
_NONCE_TRIES: Final = 8
_TYPE_PREFIX: Final = "urn:ietf:params:acme:error:"


class _Identifier(BaseModel):
    value: str = ""


class ProblemDocument(BaseModel):
    """RFC 9457, with the subproblems of RFC 8555 §6.7.1."""

    model_config = ConfigDict(extra="ignore")

    type: str = ""
    detail: str = ""
    identifier: _Identifier | None = None
    subproblems: tuple["ProblemDocument", ...] = ()

    @property
    def short_type(self) -> str:
        return self.type.removeprefix(_TYPE_PREFIX)

    def __str__(self) -> str:
        about = f"{self.identifier.value}: " if self.identifier else ""
        inner = [str(problem) for problem in self.subproblems]
        return "; ".join(filter(None, [f"{about}{self.short_type}: {self.detail}", *inner]))[:500]


def retry_after_of(response: requests.Response) -> timedelta | None:
    """Dates are measured against the answer's own Date, so that no clock of ours matters."""
    now = parse_http_date(response.headers.get("Date"))
    return parse_retry_after(response.headers.get("Retry-After"), now=now)


class AcmeNetwork(ClientNetwork):
    """One connection pool and nonce pool: for one thread at a time."""

    def __init__(self, key: JWKEC, *, ca_file: Path | None, user_agent: str) -> None:
        super().__init__(key, alg=ES256, user_agent=user_agent)
        self.session.trust_env = False
        self._trust = str(ca_file) if ca_file else True

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        """As the library's, with eight tries.

        Raises:
            AcmeProblemError: the CA answered with a problem.
            CaUnreachableError: it didn't answer.
        """
        for _ in range(_NONCE_TRIES - 1):
            try:
                return self._post_once(*args, **kwargs)
            except AcmeProblemError as problem:
                if problem.type != "badNonce":
                    raise
        return self._post_once(*args, **kwargs)

    def _post_once(
        self, url: str, obj: Any, content_type: str = ClientNetwork.JOSE_CONTENT_TYPE, **kwargs: Any
    ) -> requests.Response:
        try:
            nonce = self._get_nonce(url, kwargs.pop("new_nonce_url"))
        except errors.NonceError as error:
            raise CaUnreachableError(f"{url}: the CA gives no nonce that can be read") from error
        data = self._wrap_in_jws(obj, nonce, url)
        response = self._send_request("POST", url, data=data, headers={"Content-Type": content_type}, **kwargs)
        # Problems carry a nonce too; and what was done is done, also where the answer brings none.
        with suppress(errors.NonceError):
            self._add_nonce(response)
        return self._check_response(response)

    def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs |= {
            "headers": {"User-Agent": self.user_agent, **kwargs.get("headers", {})},
            "timeout": _TIMEOUTS_S,
            "verify": self._trust,
            "allow_redirects": method != "POST",
        }
        try:
            response = self.session.request(method, url, *args, **kwargs)
        except ReadTimeout as error:
            raise CaUnreachableError(f"{url} gave no answer in {_TIMEOUTS_S[1]:g} s", timed_out=True) from error
        except RequestException as error:
            raise CaUnreachableError(f"{url} can't be reached: {type(error).__name__}") from error
        response.encoding = "utf-8"
        return response

    @classmethod
    def _check_response(
        cls,
        response: requests.Response,
        content_type: str | None = None,  # noqa: ARG003 # the base class hands it over
    ) -> requests.Response:
        if response.ok:
            return response
        document = _problem_document(response)
        raise AcmeProblemError(
            type=document.short_type,
            status=response.status_code,
            detail=_printable(document.detail) or f"{response.url} answered {response.status_code}",
            retry_after=retry_after_of(response),
            subproblems=tuple(
                Subproblem(
                    problem.identifier.value if problem.identifier else None,
                    problem.short_type,
                    _printable(problem.detail),
                )
                for problem in document.subproblems
            ),
            location=response.headers.get("Location"),
        )


def _problem_document(response: requests.Response) -> ProblemDocument:
    try:
        return ProblemDocument.model_validate(json.loads(response.content))
    except (ValueError, ValidationError):
        return ProblemDocument()


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)[:300]
