"""What a CA answers (RFC 8555 §7.1), read strictly where certbus relies on it and leniently elsewhere."""

from acme import challenges
from josepy.errors import DeserializationError
from josepy.json_util import decode_b64jose
from josepy.jwk import JWKEC
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from issuer.cas.acme.answer import Answer
from issuer.cas.acme.jws import SigningKey
from issuer.cas.acme.problems import ProblemDocument
from issuer.domain.ca_order import (
    AuthorizationStatus,
    AuthorizationView,
    ChallengeKind,
    ChallengeOffer,
    OrderStatus,
    OrderView,
)
from issuer.domain.errors import CaUnreachableError
from issuer.domain.renewal_info import RenewalInfo

__all__ = ["account_is_valid", "authorization_view", "chain_of", "order_view", "renewal_info_of"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _OrderBody(_Body):
    status: OrderStatus
    authorizations: tuple[str, ...] = ()
    finalize: str
    certificate: str | None = None
    error: ProblemDocument | None = None


class _ChallengeBody(_Body):
    type: str
    url: str = ""
    status: str = "pending"
    token: str = ""
    error: ProblemDocument | None = None


class _AccountBody(_Body):
    status: str


class _WindowBody(_Body):
    start: AwareDatetime
    end: AwareDatetime


class _RenewalInfoBody(_Body):
    suggested_window: _WindowBody = Field(alias="suggestedWindow")
    explanation_url: str | None = Field(default=None, alias="explanationURL")


class _IdentifierBody(_Body):
    value: str


class _AuthorizationBody(_Body):
    identifier: _IdentifierBody
    status: AuthorizationStatus
    wildcard: bool = False
    challenges: tuple[_ChallengeBody, ...] = ()


def order_view(answer: Answer, url: str) -> OrderView:
    """The order as answered.

    Raises:
        CaUnreachableError: the answer can't be read.
    """
    body = answer.read(_OrderBody)
    return OrderView(
        url=url,
        status=body.status,
        authorizations=body.authorizations,
        finalize_url=body.finalize,
        certificate_url=body.certificate,
        problem=str(body.error) if body.error else None,
        retry_after=answer.retry_after,
    )


def authorization_view(answer: Answer, key: SigningKey) -> AuthorizationView:
    """What has to be shown is computed with the account's key.

    Raises:
        CaUnreachableError: the answer can't be read.
    """
    body = answer.read(_AuthorizationBody)
    account = JWKEC(key=key.private_key)
    problems = [str(challenge.error) for challenge in body.challenges if challenge.error]
    return AuthorizationView(
        identifier=body.identifier.value,
        wildcard=body.wildcard,
        status=body.status,
        offers=tuple(
            offer
            for challenge in body.challenges
            if (offer := _offer(challenge, body.identifier.value, account)) is not None
        ),
        proven_by=next((item.type for item in body.challenges if item.status == "valid"), None),
        problem="; ".join(problems) or None,
    )


def _offer(challenge: _ChallengeBody, identifier: str, key: JWKEC) -> ChallengeOffer | None:
    try:
        match challenge.type:
            case ChallengeKind.DNS_01:
                dns = challenges.DNS01(token=decode_b64jose(challenge.token))
                name, value = dns.validation_domain_name(identifier), dns.validation(key)
                return ChallengeOffer(ChallengeKind.DNS_01, challenge.url, name, value)
            case ChallengeKind.HTTP_01:
                http = challenges.HTTP01(token=decode_b64jose(challenge.token))
                name, value = http.encode("token"), http.validation(key)
                return ChallengeOffer(ChallengeKind.HTTP_01, challenge.url, name, value)
    except DeserializationError as error:
        raise CaUnreachableError(f"{challenge.url}: the token can't be read") from error
    return None


def account_is_valid(answer: Answer) -> bool:
    try:
        return answer.read(_AccountBody).status == "valid"
    except CaUnreachableError:
        return False


def renewal_info_of(answer: Answer) -> RenewalInfo:
    """The window as answered.

    Raises:
        CaUnreachableError: the answer can't be read, or its window ends before it begins.
    """
    body = answer.read(_RenewalInfoBody)
    window = body.suggested_window
    if window.end < window.start:
        raise CaUnreachableError(f"{answer.url} answered what can't be read: a window that ends before it begins")
    return RenewalInfo(window.start, window.end, body.explanation_url, answer.retry_after)


def chain_of(answer: Answer) -> str:
    """The chain as PEM, leaf first.

    Raises:
        CaUnreachableError: the answer is no text.
    """
    try:
        return answer.body.decode()
    except UnicodeDecodeError:
        raise CaUnreachableError(f"{answer.url} answered what can't be read: no PEM") from None
