"""What a CA answers (RFC 8555 §7.1), read strictly where certbus relies on it and leniently elsewhere."""

import hashlib
from typing import Final

from acme import challenges
from cryptography import x509
from josepy.errors import DeserializationError
from josepy.json_util import decode_b64jose
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from issuer.cas.acme.answer import Answer
from issuer.cas.acme.jws import SigningKey, b64url
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
from issuer.domain.persistent_record import persistent_name, persistent_value
from issuer.domain.renewal_info import RenewalInfo

__all__ = ["account_is_valid", "authorization_view", "chain_of", "order_view", "renewal_info_of"]


_BEGINS: Final = "-----BEGIN CERTIFICATE-----"


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
    issuer_domain_names: tuple[str, ...] = Field(default=(), alias="issuer-domain-names")
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
        problem_types=body.error.short_types() if body.error else (),
    )


def authorization_view(answer: Answer, key: SigningKey, account_url: str) -> AuthorizationView:
    """What has to be shown is computed with the account's key, or names the account.

    Raises:
        CaUnreachableError: the answer can't be read.
    """
    body = answer.read(_AuthorizationBody)
    problems = [challenge.error for challenge in body.challenges if challenge.error]
    return AuthorizationView(
        identifier=body.identifier.value,
        wildcard=body.wildcard,
        status=body.status,
        offers=tuple(
            offer
            for challenge in body.challenges
            if (offer := _offer(challenge, body.identifier.value, key)) is not None
            or (offer := _standing_offer(challenge, body, account_url)) is not None
        ),
        proven_by=next((item.type for item in body.challenges if item.status == "valid"), None),
        problem="; ".join(map(str, problems)) or None,
        problem_types=tuple(type_ for problem in problems for type_ in problem.short_types()),
    )


def _offer(challenge: _ChallengeBody, identifier: str, key: SigningKey) -> ChallengeOffer | None:
    try:
        match challenge.type:
            case ChallengeKind.DNS_01:
                dns = challenges.DNS01(token=decode_b64jose(challenge.token))
                value = b64url(hashlib.sha256(_authorization(dns, key).encode()).digest())
                name = dns.validation_domain_name(identifier)
                return ChallengeOffer(ChallengeKind.DNS_01, challenge.url, name, value)
            case ChallengeKind.HTTP_01:
                http = challenges.HTTP01(token=decode_b64jose(challenge.token))
                value = _authorization(http, key)
                return ChallengeOffer(ChallengeKind.HTTP_01, challenge.url, http.encode("token"), value)
            case ChallengeKind.TLS_ALPN_01:
                # Its key authorization is that of http-01 (RFC 8555 §8.1).
                token = challenges.HTTP01(token=decode_b64jose(challenge.token))
                value = _authorization(token, key)
                return ChallengeOffer(ChallengeKind.TLS_ALPN_01, challenge.url, identifier, value)
    except DeserializationError as error:
        raise CaUnreachableError(f"{challenge.url}: the token can't be read") from error
    return None


def _authorization(challenge: challenges.KeyAuthorizationChallenge, key: SigningKey) -> str:
    """The library would make the key's thumbprint anew for each challenge that is offered."""
    return f"{challenge.encode('token')}.{key.thumbprint}"


def _standing_offer(
    challenge: _ChallengeBody, authorization: _AuthorizationBody, account_url: str
) -> ChallengeOffer | None:
    """That of dns-persist-01: one record, whatever the order."""
    if challenge.type != ChallengeKind.DNS_PERSIST_01 or not challenge.issuer_domain_names:
        return None
    issuer, identifier = challenge.issuer_domain_names[0], authorization.identifier.value
    value = persistent_value(issuer, account_url=account_url, wildcard=authorization.wildcard)
    return ChallengeOffer(ChallengeKind.DNS_PERSIST_01, challenge.url, persistent_name(identifier), value)


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
        CaUnreachableError: the answer can't be read, or was cut off.
    """
    try:
        chain = answer.body.decode()
        certificates = x509.load_pem_x509_certificates(answer.body)
    except ValueError:
        raise CaUnreachableError(f"{answer.url} answered what can't be read: no chain as PEM") from None
    if len(certificates) != chain.count(_BEGINS):
        raise CaUnreachableError(f"{answer.url} answered what can't be read: a chain that was cut off")
    return chain
