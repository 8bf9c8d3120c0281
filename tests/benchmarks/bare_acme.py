"""The bare ACME client that ours is measured beside: the library acme in threads, with polling of its own.

As quick as it can be: one client, session and nonces for each thread, eight tries of a bad nonce, and no look that
isn't needed. It stores nothing and survives nothing.
"""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import requests
from acme import challenges, errors, messages
from acme.client import ClientNetwork, ClientV2
from cryptography import x509
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from tests.benchmarks.issued_names import a_request

__all__ = ["BareClient"]

_THREADS: Final = 16
_TRIES: Final = 8
_LIMIT_S: Final = 10.0


class _Network(ClientNetwork):
    """With eight tries, a time limit, and no settings of the environment."""

    def __init__(self, key: JWKEC, ca_file: Path) -> None:
        super().__init__(key, alg=ES256, timeout=int(_LIMIT_S))
        self.session.trust_env = False
        self.session.verify = str(ca_file)
        self.verify_ssl = str(ca_file)  # type: ignore[assignment] # requests takes a path, too

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        for _ in range(_TRIES - 1):
            try:
                return self._post_once(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return self._post_once(*args, **kwargs)


class BareClient:
    def __init__(self, *, directory_url: str, ca_file: Path, key: JWKEC, threads: int = _THREADS) -> None:
        self._threads = threads
        self._directory_url = directory_url
        self._ca_file = ca_file
        self._key = key
        self._mine = threading.local()
        self._account: messages.RegistrationResource | None = None
        self.given_up = 0

    def register(self) -> None:
        self._account = self._client().new_account(messages.NewRegistration(terms_of_service_agreed=True))

    def issue(self, names: Iterable[str]) -> list[str]:
        """The chains, in the order of the names."""
        with ThreadPoolExecutor(max_workers=self._threads) as executor:
            return list(executor.map(self._one, names))

    def _client(self) -> ClientV2:
        client: ClientV2 | None = getattr(self._mine, "client", None)
        if client is None:
            network = _Network(self._key, self._ca_file)
            directory = ClientV2.get_directory(self._directory_url, network)
            client = self._mine.client = ClientV2(directory, network)
            network.account = self._account
        return client

    def _one(self, name: str) -> str:
        while True:
            try:
                return self._order(name)
            except (requests.exceptions.RequestException, errors.TimeoutError):
                # Pebble hangs an order now and then: only a new one helps.
                self.given_up += 1

    def _order(self, name: str) -> str:
        client = self._client()
        network, directory = client.net, client.directory
        _, csr_der = a_request(name)
        wanted = messages.NewOrder(identifiers=[messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name)])
        opened = self._post(client, directory["newOrder"], wanted)
        url, order = opened.headers["Location"], opened.json()
        authorization = self._post(client, order["authorizations"][0], None).json()
        answered = next(item for item in authorization["challenges"] if item["type"] == "http-01")
        self._post(client, answered["url"], challenges.HTTP01Response())
        order = self._until(client, url, order, leaves={"pending"})
        request = messages.CertificateRequest(csr=x509.load_der_x509_csr(csr_der))
        order = self._post(client, order["finalize"], request).json()
        order = self._until(client, url, order, leaves={"ready", "processing"})
        assert network is client.net
        return self._post(client, order["certificate"], None).text

    def _until(self, client: ClientV2, url: str, order: dict[str, Any], *, leaves: set[str]) -> dict[str, Any]:
        wait, until = 0.05, time.monotonic() + 60
        while order["status"] in leaves:
            if time.monotonic() > until:
                raise errors.TimeoutError
            time.sleep(wait)
            wait = min(wait * 1.6, 3.0)
            order = self._post(client, url, None).json()
        return order

    def _post(self, client: ClientV2, url: str, body: Any) -> requests.Response:
        return client.net.post(url, body, new_nonce_url=client.directory["newNonce"])
