"""What the teams of the story ask for."""

from dataclasses import dataclass
from typing import Final

from certcore.certificate import CertificateSpec, EndpointSpec, Exposure
from certcore.targets import FilesTarget, HaproxyTarget, KubernetesTarget

__all__ = [
    "EDGE",
    "NAMESPACES",
    "ORDERS",
    "SECRET",
    "SHOP",
    "Places",
    "edge_request",
    "orders_request",
    "shop_request",
]

ORDERS: Final = "orders.internal.example.test"
SHOP: Final = "shop.example.test"
EDGE: Final = "edge.internal.example.test"
SECRET: Final = "orders-tls"  # noqa: S105 # a Secret's name
NAMESPACES: Final = ("web", "checkout")


@dataclass(frozen=True)
class Places:
    """Loopback ports where the story's names are served, by site; `clusters` is empty where sites have none."""

    orders: dict[str, int]
    shop: dict[str, int]
    clusters: dict[str, int]
    edge: int


def orders_request(places: Places) -> CertificateSpec:
    """An internal name at both sites: in their clusters where they have one, else in files."""
    if places.clusters:
        return CertificateSpec(
            name="orders-k8s",
            dns_names=(ORDERS,),
            exposure=Exposure.INTERNAL,
            targets=tuple(
                KubernetesTarget(name=f"{site}-cluster", site=site, namespaces=NAMESPACES, secret=SECRET)
                for site in sorted(places.clusters)
            ),
            endpoints=_endpoints(ORDERS, places.clusters, "cluster"),
        )
    return CertificateSpec(
        name="orders",
        dns_names=(ORDERS,),
        exposure=Exposure.INTERNAL,
        targets=_files(places.orders),
        endpoints=_endpoints(ORDERS, places.orders, "host"),
    )


def shop_request(places: Places) -> CertificateSpec:
    """A public name at both sites."""
    return CertificateSpec(
        name="shop",
        dns_names=(SHOP, f"www.{SHOP}"),
        exposure=Exposure.PUBLIC,
        targets=_files(places.shop),
        endpoints=_endpoints(SHOP, places.shop, "host"),
    )


def edge_request(places: Places) -> CertificateSpec:
    """An internal name at the balancer of site1."""
    return CertificateSpec(
        name="edge",
        dns_names=(EDGE,),
        exposure=Exposure.INTERNAL,
        targets=(HaproxyTarget(name="site1-balancer", site="site1"),),
        endpoints=(EndpointSpec(url=f"https://{EDGE}:{places.edge}", target="site1-balancer"),),
    )


def _files(ports: dict[str, int]) -> tuple[FilesTarget, ...]:
    return tuple(FilesTarget(name=f"{site}-host", site=site) for site in sorted(ports))


def _endpoints(host: str, ports: dict[str, int], kind: str) -> tuple[EndpointSpec, ...]:
    return tuple(
        EndpointSpec(url=f"https://{host}:{port}", target=f"{site}-{kind}") for site, port in sorted(ports.items())
    )
