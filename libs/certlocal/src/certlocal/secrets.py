"""A look into the clusters from outside: which serial each Secret holds."""

import base64

from certcore.inspection import read_chain
from certlocal.requests import NAMESPACES, SECRET
from certlocal.system import LocalSystem

__all__ = ["secret_serials"]


async def secret_serials(system: LocalSystem) -> dict[str, str]:
    """Serial (hex) by `<cluster>/<namespace>`, as the API servers tell it to an administrator."""
    found = {}
    for site, cluster in system.clusters.items():
        async with cluster.client() as api:
            for namespace in NAMESPACES:
                response = await api.get(f"/api/v1/namespaces/{namespace}/secrets/{SECRET}")
                pem = base64.b64decode(response.raise_for_status().json()["data"]["tls.crt"])
                found[f"{site}/{namespace}"] = read_chain(pem)[0].serial
    return found
