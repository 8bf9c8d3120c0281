"""A delivered Secret, read through the API. Apart from the files, since a host without a cluster needs no HTTP."""

import tempfile
from pathlib import Path

import httpx
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from certlocal.delivered_pair import CHAIN, KEY, PairContext, UnusableError, load
from certlocal.kubeconfig import ClusterAccess
from certlocal.private_file import write_private

__all__ = ["DeliveredSecret"]


class _Metadata(BaseModel):
    resource_version: str = Field(alias="resourceVersion")


class _Data(BaseModel):
    chain: Base64Bytes = Field(alias=CHAIN)
    key: Base64Bytes = Field(alias=KEY, repr=False)


class _Secret(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    metadata: _Metadata
    data: _Data


class DeliveredSecret:
    """A Secret of type kubernetes.io/tls. An ingress would watch it; polling is enough here."""

    period_s = 0.5

    def __init__(self, *, access: ClusterAccess, namespace: str, secret: str) -> None:
        self._where = f"secret {namespace}/{secret}"
        self._path = f"/api/v1/namespaces/{namespace}/secrets/{secret}"
        self._client = httpx.AsyncClient(
            base_url=access.server,
            headers={"authorization": f"Bearer {access.token}"},
            verify=access.trust(),
            timeout=5.0,
            trust_env=False,
        )
        self._loaded = ""

    async def look(self) -> PairContext | None:
        try:
            response = await self._client.get(self._path)
        except httpx.HTTPError as error:
            raise UnusableError(f"{self._where}: the API can't be reached: {type(error).__name__}") from None
        if not response.is_success:
            raise UnusableError(f"{self._where}: the API answered {response.status_code}")
        try:
            secret = _Secret.model_validate_json(response.content)
        except ValidationError as error:
            raise UnusableError(f"{self._where} is no pair: {error.error_count()} errors") from None
        if secret.metadata.resource_version == self._loaded:
            return None
        # ssl loads from files only: the key lies in a private folder for as long as that takes.
        with tempfile.TemporaryDirectory(prefix="certbus-") as folder:
            write_private(Path(folder, CHAIN), secret.data.chain)
            write_private(Path(folder, KEY), secret.data.key)
            context = load(Path(folder))
        self._loaded = secret.metadata.resource_version
        return context

    async def close(self) -> None:
        await self._client.aclose()
