"""One CA, by ACME (RFC 8555): its account and its orders. Every call runs in a thread with a client of its own."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import requests
import structlog
from acme import challenges, messages
from acme.client import ClientV2
from cryptography import x509
from josepy.errors import DeserializationError
from josepy.json_util import decode_b64jose, field
from josepy.jwk import JWKEC
from pydantic import BaseModel, ConfigDict, ValidationError

from issuer.adapters.account_key import load_account_key
from issuer.adapters.acme_network import AcmeNetwork, ProblemDocument, retry_after_of
from issuer.domain.ca_order import (
    AuthorizationStatus,
    AuthorizationView,
    ChallengeKind,
    ChallengeOffer,
    OrderStatus,
    OrderView,
)
from issuer.domain.errors import AcmeProblemError, CaUnreachableError
from issuer.settings import CaSettings, EabSettings

__all__ = ["AccountBook", "AcmeCa"]

log = structlog.get_logger()

_USER_AGENT: Final = "certbus-issuer"
_NO_SUCH_ACCOUNT: Final = "accountDoesNotExist"
_WITH_REPLACES_OR_NOT: Final = frozenset({"rateLimited", "badNonce", "userActionRequired", _NO_SUCH_ACCOUNT})

T = TypeVar("T")
BodyT = TypeVar("BodyT", bound=BaseModel)


class AccountBook(Protocol):
    """Keeps the URL of the account at a CA's directory, also over a restart."""

    async def account(self, ca: str, directory_url: str) -> str | None: ...

    async def remember_account(self, ca: str, directory_url: str, url: str) -> None: ...


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


class _IdentifierBody(_Body):
    value: str


class _AuthorizationBody(_Body):
    identifier: _IdentifierBody
    status: AuthorizationStatus
    wildcard: bool = False
    challenges: tuple[_ChallengeBody, ...] = ()


class _NewOrder(messages.NewOrder):
    """With RFC 9773 §5, which the library doesn't have."""

    replaces: str | None = field("replaces", omitempty=True)


class _Client:
    """What one thread holds: connections, nonces, and the account that it signs for."""

    def __init__(self, key: JWKEC, network: AcmeNetwork, directory: messages.Directory) -> None:
        self.key = key
        self.network = network
        self.directory = directory

    def post(self, url: str, body: Any, *, account: str | None) -> requests.Response:
        """`body` None is POST-as-GET; `account` None signs with the key itself, as a new account does."""
        self.network.account = (
            messages.RegistrationResource(uri=account, body=messages.Registration()) if account else None
        )
        return self.network.post(url, body, new_nonce_url=self.directory["newNonce"])


class AcmeCa:
    """Its calls raise AcmeProblemError where the CA answers with a problem, CaUnreachableError where it doesn't
    answer or what it answers can't be read.
    """

    def __init__(
        self, *, settings: CaSettings, state_folder: Path, accounts: AccountBook, executor: ThreadPoolExecutor
    ) -> None:
        self.name = settings.name
        self.preference = settings.challenges
        self._settings = settings
        self._state_folder = state_folder
        self._accounts = accounts
        self._executor = executor
        self._threads = threading.local()
        self._directory: messages.Directory | None = None
        self._key: JWKEC | None = None
        self._account: str | None = None
        self._registering = asyncio.Lock()

    async def open_order(self, names: tuple[str, ...], *, replaces: str | None) -> OrderView:
        """A new order. A CA that doesn't take `replaces` for this certificate is asked without it."""
        try:
            return await self._call(lambda client, account: self._open(client, account, names, replaces))
        except AcmeProblemError as problem:
            if replaces is None or problem.type in _WITH_REPLACES_OR_NOT or problem.status == 429:
                raise
            log.info("replacement_not_taken", ca=self.name, replaces=replaces, problem=str(problem))
        return await self._call(lambda client, account: self._open(client, account, names, None))

    def _open(self, client: _Client, account: str, names: tuple[str, ...], replaces: str | None) -> OrderView:
        order = _NewOrder(
            identifiers=[messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name) for name in names],
            profile=self._settings.profile,
            replaces=replaces if "renewalInfo" in client.directory.to_partial_json() else None,
        )
        response = client.post(client.directory["newOrder"], order, account=account)
        return _order_view(response, response.headers.get("Location", ""))

    async def order(self, url: str) -> OrderView:
        return await self._call(lambda client, account: _order_view(client.post(url, None, account=account), url))

    async def authorization(self, url: str) -> AuthorizationView:
        return await self._call(
            lambda client, account: self._authorization_view(client, client.post(url, None, account=account))
        )

    async def answer(self, challenge_url: str) -> None:
        """Ask the CA to look at a challenge; one that it has looked at already is no problem."""
        try:
            await self._call(
                lambda client, account: client.post(challenge_url, challenges.DNS01Response(), account=account)
            )
        except AcmeProblemError as problem:
            # Which of these it was, the order tells: answered before, valid, or gone.
            if problem.type != "malformed":
                raise

    async def finalize(self, finalize_url: str, csr_der: bytes) -> OrderView:
        """Ask for the certificate. The answer has no URL of its own; `url` is empty."""
        request = messages.CertificateRequest(csr=x509.load_der_x509_csr(csr_der))
        return await self._call(
            lambda client, account: _order_view(client.post(finalize_url, request, account=account), "")
        )

    async def certificate(self, url: str) -> str:
        """The chain as PEM, leaf first."""
        return await self._call(lambda client, account: client.post(url, None, account=account).text)

    async def answers(self) -> bool:
        """Whether the CA answers anything at all: a nonce costs it nothing."""
        try:
            await self._in_thread(lambda client: client.network.head(client.directory["newNonce"]))
        except CaUnreachableError:
            return False
        return True

    async def _call(self, ask: Callable[[_Client, str], T]) -> T:
        account = await self._registered()
        try:
            return await self._in_thread(lambda client: ask(client, account))
        except AcmeProblemError as problem:
            if problem.type != _NO_SUCH_ACCOUNT:
                raise
        log.warning("account_forgotten_by_ca", ca=self.name, account=account)
        renewed = await self._registered(forgotten=account)
        return await self._in_thread(lambda client: ask(client, renewed))

    async def _in_thread(self, ask: Callable[[_Client], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: ask(self._client()))

    def _client(self) -> _Client:
        client: _Client | None = getattr(self._threads, "client", None)
        if client is None:
            if self._key is None:
                self._key = load_account_key(
                    self._state_folder, ca=self.name, directory_url=self._settings.directory_url
                )
            network = AcmeNetwork(self._key, ca_file=self._settings.ca_file, user_agent=_USER_AGENT)
            if self._directory is None:
                self._directory = _directory(network, self._settings.directory_url)
            client = self._threads.client = _Client(self._key, network, self._directory)
        return client

    async def _registered(self, *, forgotten: str | None = None) -> str:
        """The account's URL; the account is made where there is none, or the CA forgot it."""
        if self._account is not None and self._account != forgotten:
            return self._account
        async with self._registering:
            if self._account is None:
                self._account = await self._accounts.account(self.name, self._settings.directory_url)
            if self._account is None or self._account == forgotten:
                self._account = await self._in_thread(self._register)
                await self._accounts.remember_account(self.name, self._settings.directory_url, self._account)
                log.info("account_registered", ca=self.name, account=self._account)
            return self._account

    def _register(self, client: _Client) -> str:
        # Whoever asks with a known key is told the account that it has: a crash before it was stored is harmless.
        fields: dict[str, Any] = {"terms_of_service_agreed": True}
        if self._settings.contact is not None:
            fields["contact"] = (f"mailto:{self._settings.contact}",)
        if self._settings.eab is not None:
            fields["external_account_binding"] = self._binding(client, self._settings.eab)
        registration = messages.NewRegistration(**fields)
        try:
            response = client.post(client.directory["newAccount"], registration, account=None)
        except AcmeProblemError as problem:
            if problem.status == 409 and problem.location:
                return problem.location
            raise
        location = response.headers.get("Location")
        if not location:
            raise CaUnreachableError(f"{self.name} answered a new account without its URL")
        return location

    def _binding(self, client: _Client, eab: EabSettings) -> dict[str, Any]:
        return messages.ExternalAccountBinding.from_data(
            account_public_key=client.key.public_key(),
            kid=eab.kid,
            hmac_key=eab.hmac_key_file.read_text().strip(),
            directory=client.directory,
        )

    def _authorization_view(self, client: _Client, response: requests.Response) -> AuthorizationView:
        body = _read(_AuthorizationBody, response)
        problems = [str(challenge.error) for challenge in body.challenges if challenge.error]
        return AuthorizationView(
            identifier=body.identifier.value,
            wildcard=body.wildcard,
            status=body.status,
            offers=tuple(
                offer
                for challenge in body.challenges
                if (offer := self._offer(client, challenge, body.identifier.value)) is not None
            ),
            proven_by=next((item.type for item in body.challenges if item.status == "valid"), None),
            problem="; ".join(problems) or None,
        )

    def _offer(self, client: _Client, challenge: _ChallengeBody, identifier: str) -> ChallengeOffer | None:
        try:
            match challenge.type:
                case ChallengeKind.DNS_01:
                    dns = challenges.DNS01(token=decode_b64jose(challenge.token))
                    name, value = dns.validation_domain_name(identifier), dns.validation(client.key)
                    return ChallengeOffer(ChallengeKind.DNS_01, challenge.url, name, value)
                case ChallengeKind.HTTP_01:
                    http = challenges.HTTP01(token=decode_b64jose(challenge.token))
                    name, value = http.encode("token"), http.validation(client.key)
                    return ChallengeOffer(ChallengeKind.HTTP_01, challenge.url, name, value)
        except DeserializationError as error:
            raise CaUnreachableError(f"{self.name} offers a {challenge.type} token that can't be read") from error
        return None


def _directory(network: AcmeNetwork, url: str) -> messages.Directory:
    try:
        return ClientV2.get_directory(url, network)
    except (ValueError, DeserializationError) as error:
        raise CaUnreachableError(f"{url} is no ACME directory") from error


def _order_view(response: requests.Response, url: str) -> OrderView:
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


def _read(model: type[BodyT], response: requests.Response) -> BodyT:
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        places = sorted({".".join(map(str, item["loc"])) or "body" for item in error.errors(include_input=False)})
        raise CaUnreachableError(f"{response.url} answered what can't be read: {', '.join(places)}") from None
