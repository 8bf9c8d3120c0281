"""One CA, by ACME (RFC 8555): its account and its orders."""

import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import structlog
from acme import messages
from josepy.json_util import field

from certcore.errors import PermanentError
from issuer.cas.acme.account import AccountBook, AcmeAccount
from issuer.cas.acme.account_calls import AccountCalls
from issuer.cas.acme.account_key import AccountSafe
from issuer.cas.acme.answers import account_is_valid, authorization_view, chain_of, order_view, renewal_info_of
from issuer.cas.acme.chains import topmost_issuer
from issuer.cas.acme.directory import DirectoryMeta, KnownDirectory
from issuer.cas.acme.jws import PrivateKey, SigningKey, b64url
from issuer.cas.acme.problems import problem_of
from issuer.cas.acme.replacement import why_without_replaces
from issuer.cas.acme.session import AcmeSession
from issuer.cas.acme.settings import CaSettings
from issuer.cas.acme.signed_calls import SignedCalls
from issuer.domain.ca_order import AuthorizationView, OrderView
from issuer.domain.errors import AcmeProblemError, CaUnreachableError
from issuer.domain.renewal_info import RenewalInfo

__all__ = ["AcmeCa"]

log = structlog.get_logger()

_GONE: Final = frozenset({404, 410})
_MOST_ALTERNATES: Final = 8


class _NewOrder(messages.NewOrder):
    """With RFC 9773 §5, which the library doesn't have."""

    replaces: str | None = field("replaces", omitempty=True)


class AcmeCa:
    """Its calls raise AcmeProblemError where the CA answers with a problem, CaUnreachableError where it doesn't
    answer or what it answers can't be read. To be entered before it is asked.
    """

    def __init__(
        self,
        *,
        settings: CaSettings,
        accounts: AccountBook,
        safe: AccountSafe,
        state_folder: Path,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.name = settings.name
        self.preference = settings.challenges
        self._settings = settings
        self._session = AcmeSession(
            connections=settings.connections,
            ca_file=settings.ca_file,
            proxy=settings.proxy,
            proxy_login_file=settings.proxy_login_file,
        )
        limit_s = settings.answer_limit_s
        self._directory = KnownDirectory(
            url=settings.directory_url, session=self._session, limit_s=limit_s, monotonic=monotonic
        )
        self._calls = SignedCalls(session=self._session, directory=self._directory, limit_s=limit_s, jitter=jitter)
        self._account = AcmeAccount(
            settings=settings,
            book=accounts,
            safe=safe,
            state_folder=state_folder,
            calls=self._calls,
            directory=self._directory,
            monotonic=monotonic,
        )
        self._asks = AccountCalls(account=self._account, calls=self._calls, work_limit_s=settings.work_limit_s)

    async def __aenter__(self) -> Self:
        await self._session.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.__aexit__()

    async def load_account(self) -> None:
        """Open the account's key, or make it, without asking the CA.

        Raises:
            PermanentError: it can't be opened here; what to do is in the message.
        """
        await self._account.load()

    async def open_order(self, names: tuple[str, ...], *, replaces: str | None, profile: str | None) -> OrderView:
        """A new order; `profile` None asks for the CA's configured one. A CA that refuses `replaces` is asked without
        it.
        """
        directory = await self._directory.now()
        order = _NewOrder(
            identifiers=[messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name) for name in names],
            profile=profile or self._settings.profile,
            replaces=replaces if directory.renewal_info is not None else None,
        )
        try:
            return await self._new_order(order)
        except AcmeProblemError as problem:
            why = why_without_replaces(problem) if order.replaces is not None else None
            if why is None:
                raise
            log.warning("replacement_not_taken", ca=self.name, replaces=replaces, reason=why, problem=str(problem))
        return await self._new_order(order.update(replaces=None))

    async def _new_order(self, order: _NewOrder) -> OrderView:
        answer = await self._asks.at_endpoint(lambda directory: directory.new_order, order.to_json())
        if not answer.location:
            raise CaUnreachableError(f"{self.name} made an order at {answer.url} and doesn't say where")
        return order_view(answer, answer.location)

    async def order(self, url: str) -> OrderView:
        return order_view(await self._asks.read(url), url)

    async def authorization(self, url: str) -> AuthorizationView:
        return authorization_view(await self._asks.read(url), await self._account.load(), await self.account_url())

    async def answer(self, challenge_url: str) -> None:
        """Ask the CA to look at a challenge; one that it has looked at already is no problem."""
        try:
            await self._asks.post(challenge_url, {})
        except AcmeProblemError as problem:
            # Which of these it was, the order tells: answered before, valid, or gone.
            if problem.type != "malformed":
                raise

    async def finalize(self, finalize_url: str, csr_der: bytes) -> OrderView:
        """Ask for the X.509 certificate. The answer has no URL of its own; `url` is empty."""
        return order_view(await self._asks.post(finalize_url, {"csr": b64url(csr_der)}, patient=True), "")

    async def certificate(self, url: str) -> str:
        """The chain as PEM, leaf first: the preferred one, where the CA offers several."""
        answer = await self._asks.read(url)
        default = chain_of(answer)
        preferred = self._settings.preferred_chain
        if preferred is None or topmost_issuer(default) == preferred:
            return default
        for alternate in answer.linked("alternate")[:_MOST_ALTERNATES]:
            # What can't be had isn't worth to hold up what was issued.
            with suppress(AcmeProblemError, CaUnreachableError):
                chain = chain_of(await self._asks.read(alternate))
                if topmost_issuer(chain) == preferred:
                    return chain
        log.warning("preferred_chain_not_offered", ca=self.name, preferred=preferred)
        return default

    async def answers(self) -> bool:
        """Whether the CA answers anything at all."""
        return await self._calls.answers()

    async def account_answers(self) -> bool:
        """Whether the CA shows the account to our key now: then what it denies of an order is about that order."""
        try:
            account = await self._account.registered()
            answer = await self._calls.read(account.url, key=account.key, account=account.url)
        except (AcmeProblemError, CaUnreachableError):
            return False
        return account_is_valid(answer)

    async def account_url(self) -> str:
        return (await self._account.registered()).url

    async def deactivate(self, authorization_url: str) -> None:
        """Give an authorization up; one that is gone, or decided, is no problem."""
        try:
            await self._asks.post(authorization_url, {"status": "deactivated"})
        except AcmeProblemError as problem:
            if problem.status not in _GONE and problem.type != "malformed":
                raise

    async def revokes(self) -> bool:
        """Whether its directory has an endpoint for that."""
        return (await self._directory.now()).revoke_cert is not None

    async def revoke(self, certificate_der: bytes, reason: int, *, key: PrivateKey | None = None) -> bool:
        """Revoke with a reason of RFC 5280, by the account or by the certificate's own key. True where it was
        revoked before, which is no problem.

        Raises:
            PermanentError: the CA has no such endpoint.
        """
        if not await self.revokes():
            raise PermanentError(f"CA {self.name} revokes nothing by ACME")
        asked = {"certificate": b64url(certificate_der), "reason": reason}
        signed_by = SigningKey(key) if key is not None else None
        try:
            await self._asks.at_endpoint(lambda directory: directory.revoke_cert or "", asked, key=signed_by)
        except AcmeProblemError as problem:
            if problem.type != "alreadyRevoked":
                raise
            return True
        return False

    async def renewal_info(self, ari_id: str) -> RenewalInfo | None:
        """When the CA would like the certificate of this identifier renewed; None where it tells none at all."""
        endpoint = (await self._directory.now()).renewal_info
        if endpoint is None:
            return None
        url = f"{endpoint.rstrip('/')}/{ari_id}"
        answer = await self._session.get(url, limit_s=self._settings.answer_limit_s)
        if answer.status >= 400:
            raise problem_of(answer)
        return renewal_info_of(answer)

    async def meta(self) -> DirectoryMeta:
        """What the CA says about itself; no account is needed for it."""
        return (await self._directory.now()).meta

    async def caa_identities(self) -> tuple[str, ...]:
        """The names by which CAA records may allow this CA (RFC 8555 §9.7.6)."""
        return (await self._directory.now()).meta.caa_identities

    async def profiles(self) -> Mapping[str, str]:
        """The profiles that may be asked for, each with what the CA says about it."""
        return (await self._directory.now()).meta.profiles
