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
from josepy.json_util import field
from josepy.jwk import JWKEC

from issuer.adapters.account_key import load_account_key
from issuer.adapters.acme_answers import authorization_view, order_view
from issuer.adapters.acme_network import AcmeNetwork
from issuer.domain.ca_order import AuthorizationView, OrderView
from issuer.domain.errors import AcmeProblemError, CaUnreachableError
from issuer.settings import CaSettings, EabSettings

__all__ = ["AccountBook", "AcmeCa"]

log = structlog.get_logger()

_USER_AGENT: Final = "certbus-issuer"
_NO_SUCH_ACCOUNT: Final = "accountDoesNotExist"
_WITH_REPLACES_OR_NOT: Final = frozenset({"rateLimited", "badNonce", "userActionRequired", _NO_SUCH_ACCOUNT})

T = TypeVar("T")


class AccountBook(Protocol):
    """Keeps the URL of the account at a CA's directory, also over a restart."""

    async def account(self, ca: str, directory_url: str) -> str | None: ...

    async def remember_account(self, ca: str, directory_url: str, url: str) -> None: ...


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

    async def open_order(self, names: tuple[str, ...], *, replaces: str | None, profile: str | None) -> OrderView:
        """A new order; `profile` None asks for the CA's configured one. A CA that refuses `replaces` is asked without
        it.
        """
        order = _NewOrder(
            identifiers=[messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name) for name in names],
            profile=profile or self._settings.profile,
            replaces=replaces,
        )
        try:
            return await self._call(lambda client, account: self._open(client, account, order))
        except AcmeProblemError as problem:
            if replaces is None or problem.type in _WITH_REPLACES_OR_NOT or problem.status == 429:
                raise
            log.info("replacement_not_taken", ca=self.name, replaces=replaces, problem=str(problem))
        alone = order.update(replaces=None)
        return await self._call(lambda client, account: self._open(client, account, alone))

    def _open(self, client: _Client, account: str, order: _NewOrder) -> OrderView:
        if "renewalInfo" not in client.directory.to_partial_json():
            order = order.update(replaces=None)
        response = client.post(client.directory["newOrder"], order, account=account)
        return order_view(response, self._location(response))

    async def caa_identities(self) -> tuple[str, ...]:
        """The names by which CAA records mean this CA; none where its directory gives none."""
        return await self._in_thread(lambda client: tuple(client.directory.meta.caa_identities or ()))

    async def account_url(self) -> str:
        return await self._registered()

    async def order(self, url: str) -> OrderView:
        return await self._call(lambda client, account: order_view(client.post(url, None, account=account), url))

    async def authorization(self, url: str) -> AuthorizationView:
        return await self._call(
            lambda client, account: authorization_view(client.post(url, None, account=account), client.key, account)
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
        """Ask for the X.509 certificate. The answer has no URL of its own; `url` is empty."""
        request = messages.CertificateRequest(csr=x509.load_der_x509_csr(csr_der))
        return await self._call(
            lambda client, account: order_view(client.post(finalize_url, request, account=account), "")
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
        return self._location(response)

    def _location(self, response: requests.Response) -> str:
        location = response.headers.get("Location")
        if not location:
            raise CaUnreachableError(f"{self.name} made something at {response.url} and doesn't say where")
        return location

    def _binding(self, client: _Client, eab: EabSettings) -> dict[str, Any]:
        return messages.ExternalAccountBinding.from_data(
            account_public_key=client.key.public_key(),
            kid=eab.kid,
            hmac_key=eab.hmac_key_file.read_text().strip(),
            directory=client.directory,
        )


def _directory(network: AcmeNetwork, url: str) -> messages.Directory:
    try:
        return ClientV2.get_directory(url, network)
    except (ValueError, DeserializationError) as error:
        raise CaUnreachableError(f"{url} is no ACME directory") from error
