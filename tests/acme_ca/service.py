"""What each endpoint does with a call that nothing breaks (RFC 8555 §7)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from josepy.jwk import JWK

from tests.acme_ca.books import Books, found, names_in
from tests.acme_ca.calls import Call, Endpoint, RefusedError, Reply, problem, replied
from tests.acme_ca.jws import Jws, binding_kid, key_of, raw, thumbprint
from tests.acme_ca.nonces import Nonces
from tests.acme_ca.orders import Account, Authorization, Challenge, Order
from tests.acme_ca.signing import Signer
from tests.acme_ca.validation import Validation

__all__ = ["Service"]

_WITH_KEY: Final = frozenset({Endpoint.NEW_ACCOUNT, Endpoint.REVOKE})
_JOSE: Final = "application/jose+json"


class Service:
    """`profiles` by name; with `customers` (EAB, by kid) an account needs one of them. `knows_ari` False is a CA of
    before RFC 9773. `windows` overrides the renewal window by the leaf's identifier.
    """

    def __init__(self, url: str, *, validation: Validation) -> None:
        self.url = url
        self.books = Books()
        self.nonces = Nonces()
        self.signer = Signer()
        self.profiles: dict[str, str] = {"default": "90 days"}
        self.customers: dict[str, bytes] = {}
        self.windows: dict[str, tuple[datetime, datetime]] = {}
        self.knows_ari = True
        self.caa_identities: tuple[str, ...] = ()
        self._validation = validation
        self._validating: set[asyncio.Task[None]] = set()
        self._looked = asyncio.Event()
        self._at: dict[Endpoint, Callable[[Call, Account], Awaitable[Reply] | Reply]] = {
            Endpoint.ACCOUNT: self._account,
            Endpoint.NEW_ORDER: self._new_order,
            Endpoint.ORDER: self._order,
            Endpoint.AUTHORIZATION: self._authorization,
            Endpoint.CHALLENGE: self._challenge,
            Endpoint.FINALIZE: self._finalize,
            Endpoint.CERTIFICATE: self._certificate,
        }

    async def act(self, call: Call, content_type: str) -> Reply:
        """The right answer, with all that it changes."""
        try:
            if call.method != "POST":
                return self._read(call)
            return await self._posted(call, content_type)
        except RefusedError as refusal:
            return refusal.reply

    async def stop(self) -> None:
        for task in self._validating:
            task.cancel()
        await asyncio.gather(*self._validating, return_exceptions=True)

    def _read(self, call: Call) -> Reply:
        if call.endpoint is Endpoint.DIRECTORY:
            return replied(self._directory())
        if call.endpoint is Endpoint.NEW_NONCE:
            return Reply(200 if call.method == "HEAD" else 204)
        if call.endpoint is Endpoint.RENEWAL_INFO and self.knows_ari:
            return self._renewal_info(call.item)
        raise RefusedError("malformed", 405, "that is asked by POST")

    def _directory(self) -> dict[str, Any]:
        places = {
            "newNonce": Endpoint.NEW_NONCE,
            "newAccount": Endpoint.NEW_ACCOUNT,
            "newOrder": Endpoint.NEW_ORDER,
            "revokeCert": Endpoint.REVOKE,
            **({"renewalInfo": Endpoint.RENEWAL_INFO} if self.knows_ari else {}),
        }
        meta: dict[str, Any] = {"termsOfService": f"{self.url}/terms", "caaIdentities": list(self.caa_identities)}
        if self.profiles:
            meta["profiles"] = self.profiles
        if self.customers:
            meta["externalAccountRequired"] = True
        return {"meta": meta, **{name: f"{self.url}/{place}" for name, place in places.items()}}

    async def _posted(self, call: Call, content_type: str) -> Reply:
        if content_type != _JOSE:
            raise RefusedError("malformed", 415, f"the body is {content_type}")
        jws = Jws.read(call.body)
        if not self.nonces.take(jws.protected.get("nonce")):
            raise RefusedError("badNonce")
        if jws.protected.get("url") != call.url:
            raise RefusedError("unauthorized", 401, f"signed for {jws.protected.get('url')}")
        if ("jwk" in jws.protected) == ("kid" in jws.protected):
            raise RefusedError("malformed", detail="either jwk or kid")
        if "jwk" in jws.protected:
            key = key_of(jws.protected["jwk"])
            jws.verify(key)
            if call.endpoint not in _WITH_KEY:
                raise RefusedError("malformed", detail="kid is wanted here")
            return self._new_account(call, key) if call.endpoint is Endpoint.NEW_ACCOUNT else self._revoke(call, key)
        account = self._account_of(jws)
        jws.verify(account.key)
        if call.endpoint is Endpoint.REVOKE:
            return self._revoke(call, account)
        if call.endpoint not in self._at:
            raise RefusedError("malformed", 405, "that is not asked by POST with kid")
        reply = self._at[call.endpoint](call, account)
        return reply if isinstance(reply, Reply) else await reply

    def _account_of(self, jws: Jws) -> Account:
        place, _, item = str(jws.protected["kid"]).rpartition("/")
        account = self.books.accounts.get(item) if place == f"{self.url}/{Endpoint.ACCOUNT}" else None
        if account is None:
            raise RefusedError("accountDoesNotExist", detail=str(jws.protected["kid"]))
        if account.status != "valid":
            raise RefusedError("unauthorized", 401, f"the account is {account.status}")
        return account

    def _new_account(self, call: Call, key: JWK) -> Reply:
        payload = call.payload or {}
        known = self.books.account_with(key)
        if known is None and payload.get("onlyReturnExisting"):
            raise RefusedError("accountDoesNotExist")
        if known is not None:
            return replied(known.shown(self.url), Location=f"{self.url}/{Endpoint.ACCOUNT}/{known.id}")
        if not payload.get("termsOfServiceAgreed"):
            raise RefusedError("userActionRequired", 403, "agree to the terms")
        customer = None
        if self.customers:
            binding = payload.get("externalAccountBinding")
            customer = binding_kid(binding, account_key=key, url=call.url, keys=self.customers)
        made = self.books.add_account(key, payload.get("contact", ()), customer)
        return replied(made.shown(self.url), 201, Location=f"{self.url}/{Endpoint.ACCOUNT}/{made.id}")

    def _account(self, call: Call, account: Account) -> Reply:
        if call.item != account.id:
            raise RefusedError("unauthorized", 403, "another account")
        if (call.payload or {}).get("status") == "deactivated":
            account.status = "deactivated"
        return replied(account.shown(self.url))

    def _new_order(self, call: Call, account: Account) -> Reply:
        payload, names = call.payload or {}, names_in(call.payload)
        if not names or len(set(names)) < len(names):
            raise RefusedError("malformed", detail="names are missing, or twice there")
        profile, replaces = payload.get("profile"), payload.get("replaces")
        if profile is not None and profile not in self.profiles:
            raise RefusedError("invalidProfile", detail=str(profile))
        if replaces is not None:
            self._check_replaces(replaces, names)
        order = self.books.add_order(account.id, names, profile=profile, replaces=replaces)
        return self._shown(order, 201, Location=f"{self.url}/{Endpoint.ORDER}/{order.id}")

    def _check_replaces(self, identifier: str, names: tuple[str, ...]) -> None:
        """RFC 9773 §5, as strict as Let's Encrypt: an order that is only pending replaces as well."""
        before = self.books.order_of_leaf(identifier)
        if before is None:
            raise RefusedError("malformed", 404, f"no certificate is known as {identifier}")
        if not set(before.names) & set(names):
            raise RefusedError("malformed", detail="the certificate to be replaced is for other names")
        if self.books.replacement_of(identifier) is not None:
            raise RefusedError("alreadyReplaced", 409, f"{identifier} is replaced by another order")

    def _order(self, call: Call, account: Account) -> Reply:
        order = self._of(account, call.item)
        self._go_on_signing(order)
        order.looks += 1
        self._looked.set()
        self._looked.clear()
        return self._shown(order)

    def _shown(self, order: Order, status: int = 200, **headers: str) -> Reply:
        conduct = self.books.conduct_of(order.names)
        late = conduct.url_late_looks > 0 and order.looks <= conduct.signing_looks + conduct.url_late_looks
        with_url = order.status == "valid" and not late
        if order.status in {"pending", "processing"} and conduct.retry_after is not None:
            headers = {**headers, "Retry_After": conduct.retry_after}
        return replied(order.shown(self.url, with_certificate=with_url), status, **headers)

    def _go_on_signing(self, order: Order) -> None:
        conduct = self.books.conduct_of(order.names)
        if order.status != "processing" or order.finalized_at is None or order.csr is None:
            return
        if order.looks < conduct.signing_looks or time.monotonic() - order.finalized_at < conduct.signing_s:
            return
        if conduct.signing_problem is not None:
            order.status, order.error = "invalid", dict(conduct.signing_problem)
            return
        fault = conduct.faults[order.nth] if order.nth < len(conduct.faults) else None
        signed = self.signer.sign(order.csr, order.names, fault)
        order.leaf, order.chain, order.status = signed.leaf, signed.chain, "valid"

    def _authorization(self, call: Call, account: Account) -> Reply:
        authorization = found(self.books.authorizations.get, call.item)
        self._must_own(account, authorization.account)
        if (call.payload or {}).get("status") == "deactivated":
            authorization.status = "deactivated"
            for order in self.books.orders_with(authorization):
                order.settle()
        return replied(authorization.shown(self.url))

    def _challenge(self, call: Call, account: Account) -> Reply:
        authorization, challenge = self.books.authorization_of_challenge(call.item)
        self._must_own(account, authorization.account)
        conduct = self.books.conduct_of([authorization.name, f"*.{authorization.name}"])
        if call.payload is not None:
            authorization.answers += 1
            if challenge.status == "pending" and authorization.status == "pending":
                challenge.status = "processing"
                task = asyncio.create_task(self._validate(authorization, challenge, thumbprint(account.key)))
                self._validating.add(task)
                task.add_done_callback(self._validating.discard)
            elif conduct.strict_challenges:
                raise RefusedError("malformed", detail=f"Cannot update challenge with status {challenge.status}")
        up = f'<{self.url}/{Endpoint.AUTHORIZATION}/{authorization.id}>;rel="up"'
        return replied(challenge.shown(self.url), Link=up)

    async def _validate(self, authorization: Authorization, challenge: Challenge, of_account: str) -> None:
        conduct = self.books.conduct_of([authorization.name, f"*.{authorization.name}"])
        orders = self.books.orders_with(authorization)
        for order in orders:
            order.looks = 0
        await asyncio.sleep(conduct.validation_s)
        while any(order.looks < conduct.validation_looks for order in orders):
            await self._looked.wait()
        refusal = conduct.verdict or await self._validation.refusal(authorization, challenge, of_account)
        if authorization.status != "pending":
            return
        authorization.status = challenge.status = "invalid" if refusal else "valid"
        if refusal:
            challenge.error = dict(refusal)
        for order in self.books.orders_with(authorization):
            order.settle()
            if order.status == "invalid" and refusal and conduct.told_in_order:
                order.error = dict(refusal)

    def _finalize(self, call: Call, account: Account) -> Reply:
        order = self._of(account, call.item)
        if order.status != "ready":
            raise RefusedError("orderNotReady", 403, f"the order is {order.status}")
        try:
            csr = x509.load_der_x509_csr(raw(str((call.payload or {}).get("csr", ""))))
            named = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (ValueError, x509.ExtensionNotFound) as error:
            raise RefusedError("badCSR", detail=str(error)) from error
        if not csr.is_signature_valid or set(named.get_values_for_type(x509.DNSName)) != set(order.names):
            raise RefusedError("badCSR", detail="its signature or its names don't fit")
        order.csr, order.finalized_at, order.status, order.looks = csr, time.monotonic(), "processing", 0
        self._go_on_signing(order)
        return self._shown(order, Location=f"{self.url}/{Endpoint.ORDER}/{order.id}")

    def _certificate(self, call: Call, account: Account) -> Reply:
        order = self._of(account, call.item)
        if order.status != "valid":
            raise RefusedError("malformed", 404, "there is no such certificate")
        return Reply(200, order.chain, {"Content-Type": "application/pem-certificate-chain"})

    def _revoke(self, call: Call, by: JWK | Account) -> Reply:
        payload = call.payload or {}
        try:
            leaf = x509.load_der_x509_certificate(raw(str(payload.get("certificate", ""))))
        except ValueError as error:
            raise RefusedError("malformed", detail=str(error)) from error
        order = next((one for one in self.books.orders.values() if one.leaf == leaf), None)
        if order is None:
            raise RefusedError("malformed", 404, "the certificate is of another CA")
        may = order.account == by.id if isinstance(by, Account) else _spki(by.key) == _spki(leaf.public_key())
        if not may:
            raise RefusedError("unauthorized", 403, "neither its account nor its key")
        if leaf.serial_number in self.books.revoked:
            raise RefusedError("alreadyRevoked")
        self.books.revoked[leaf.serial_number] = int(payload.get("reason", 0))
        return Reply()

    def _renewal_info(self, identifier: str) -> Reply:
        order = self.books.order_of_leaf(identifier)
        if order is None or order.leaf is None:
            return problem("malformed", 404, f"no certificate is known as {identifier}")
        ends = order.leaf.not_valid_after_utc
        middle = ends - (ends - order.leaf.not_valid_before_utc) / 3
        start, end = self.windows.get(identifier, (middle - timedelta(days=1), middle + timedelta(days=1)))
        window = {"start": _instant(start), "end": _instant(end)}
        return replied({"suggestedWindow": window}, Retry_After="21600")

    def _of(self, account: Account, item: str) -> Order:
        order = found(self.books.orders.get, item)
        self._must_own(account, order.account)
        return order

    @staticmethod
    def _must_own(account: Account, owner: str) -> None:
        if account.id != owner:
            raise RefusedError("unauthorized", 403, "that is another account's")


def _spki(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
