"""What a CA answers (RFC 8555 §7.1), read strictly where certbus relies on it and leniently elsewhere."""

from typing import TypeVar

import requests
from acme import challenges
from josepy.errors import DeserializationError
from josepy.json_util import decode_b64jose
from josepy.jwk import JWKEC
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from issuer.adapters.acme_network import ProblemDocument, retry_after_of
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

__all__ = ["authorization_view", "order_view"]

BodyT = TypeVar("BodyT", bound=BaseModel)


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


class _IdentifierBody(_Body):
    value: str


class _AuthorizationBody(_Body):
    identifier: _IdentifierBody
    status: AuthorizationStatus
    wildcard: bool = False
    challenges: tuple[_ChallengeBody, ...] = ()


def order_view(response: requests.Response, url: str) -> OrderView:
    """The order as answered.

    Raises:
        CaUnreachableError: the answer can't be read.
    """
    body = _read(_OrderBody, response)
    return OrderView(
        url=url,
        status=body.status,
        authorizations=body.authorizations,
        finalize_url=body.finalize,
        certificate_url=body.certificate,
        problem=str(body.error) if body.error else None,
        retry_after=retry_after_of(response),
    )


def authorization_view(response: requests.Response, key: JWKEC, account_url: str) -> AuthorizationView:
    """What has to be shown is computed with the account's key, or names the account.

    Raises:
        CaUnreachableError: the answer can't be read.
    """
    body = _read(_AuthorizationBody, response)
    problems = [str(challenge.error) for challenge in body.challenges if challenge.error]
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
            case ChallengeKind.TLS_ALPN_01:
                # Its key authorization is that of http-01 (RFC 8555 §8.1).
                token = challenges.HTTP01(token=decode_b64jose(challenge.token))
                return ChallengeOffer(ChallengeKind.TLS_ALPN_01, challenge.url, identifier, token.validation(key))
    except DeserializationError as error:
        raise CaUnreachableError(f"{challenge.url}: the token can't be read") from error
    return None


def _standing_offer(
    challenge: _ChallengeBody, authorization: _AuthorizationBody, account_url: str
) -> ChallengeOffer | None:
    """That of dns-persist-01: one record, whatever the order."""
    if challenge.type != ChallengeKind.DNS_PERSIST_01 or not challenge.issuer_domain_names:
        return None
    issuer, identifier = challenge.issuer_domain_names[0], authorization.identifier.value
    value = persistent_value(issuer, account_url=account_url, wildcard=authorization.wildcard)
    return ChallengeOffer(ChallengeKind.DNS_PERSIST_01, challenge.url, persistent_name(identifier), value)


def _read(model: type[BodyT], response: requests.Response) -> BodyT:
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        places = sorted({".".join(map(str, item["loc"])) or "body" for item in error.errors(include_input=False)})
        raise CaUnreachableError(f"{response.url} answered what can't be read: {', '.join(places)}") from None
