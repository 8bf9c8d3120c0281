"""What the teams of the story ask for."""

from typing import TYPE_CHECKING, Final

from certcore.certificate import CertificateSpec, EndpointSpec, Exposure
from certcore.targets import FilesTarget, HaproxyTarget, KubernetesTarget

if TYPE_CHECKING:
    from certbus.local.system import LocalSystem

__all__ = ["EDGE", "ORDERS", "SHOP", "edge_request", "orders_request", "shop_request"]

ORDERS: Final = "orders.internal.example.test"
SHOP: Final = "shop.example.test"
EDGE: Final = "edge.internal.example.test"
SECRET: Final = "orders-tls"  # noqa: S105 # a Secret's name
NAMESPACES: Final = ("web", "checkout")


def orders_request(system: "LocalSystem") -> CertificateSpec:
    """An internal name at both sites: in their clusters where they have one, else in files."""
    if system.clusters:
        return CertificateSpec(
            name="orders-k8s",
            dns_names=(ORDERS,),
            exposure=Exposure.INTERNAL,
            targets=tuple(
                KubernetesTarget(name=f"{site}-cluster", site=site, namespaces=NAMESPACES, secret=SECRET)
                for site in sorted(system.clusters)
            ),
            endpoints=_endpoints(ORDERS, system.cluster_ports, "cluster"),
        )
    return CertificateSpec(
        name="orders",
        dns_names=(ORDERS,),
        exposure=Exposure.INTERNAL,
        targets=_files(system.app_ports),
        endpoints=_endpoints(ORDERS, system.app_ports, "host"),
    )


def shop_request(system: "LocalSystem") -> CertificateSpec:
    """A public name at both sites."""
    return CertificateSpec(
        name="shop",
        dns_names=(SHOP, f"www.{SHOP}"),
        exposure=Exposure.PUBLIC,
        targets=_files(system.shop_ports),
        endpoints=_endpoints(SHOP, system.shop_ports, "host"),
    )


def edge_request(system: "LocalSystem") -> CertificateSpec:
    """An internal name at the balancer of site1."""
    return CertificateSpec(
        name="edge",
        dns_names=(EDGE,),
        exposure=Exposure.INTERNAL,
        targets=(HaproxyTarget(name="site1-balancer", site="site1"),),
        endpoints=(EndpointSpec(url=f"https://{EDGE}:{system.edge_port}", target="site1-balancer"),),
    )


def _files(ports: dict[str, int]) -> tuple[FilesTarget, ...]:
    return tuple(FilesTarget(name=f"{site}-host", site=site) for site in sorted(ports))


def _endpoints(host: str, ports: dict[str, int], kind: str) -> tuple[EndpointSpec, ...]:
    return tuple(
        EndpointSpec(url=f"https://{host}:{port}", target=f"{site}-{kind}") for site, port in sorted(ports.items())
    )
