"""What an attacker, or somebody in a hurry, makes of a request: each kind of mutation, with its variants."""

import copy
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.unit.certcore.policy.product.scenes import edge, files, pods

__all__ = ["MUTATIONS", "Mutant"]

Json = dict[str, Any]
Mutant = tuple[str, Json]
Mutation = Callable[[Json], Iterator[Mutant]]

_LONG: Final = ".".join(["a" * 60] * 3)

NAMES: Final[dict[str, tuple[str, ...]]] = {
    "neighbour": (
        *("pay.shop.example.org", "bank.example.org", "b.bank.example.org", "bank.shop.example.org"),
        *("b.bank.shop.example.org", "own.shop.corp.example.org", "security.example.org", "x.both.example.org"),
    ),
    "subtree": (
        *("example.org", "b.example.org", "shop.example.org", "a.b.c.d.shop.example.org", "example.com"),
        *("a.www.example.com", "x.pay.shop.example.org", "given.example.org", "a.given.example.org"),
        *("mine.bank.shop.example.org", "y.mine.bank.shop.example.org", "a.lonely.net", "lonely.net"),
        *("corp.example.org", "shop.corp.example.org", "corp.example.net", "wild.shop.example.org"),
    ),
    "wildcard": (
        *(
            "*.shop.example.org",
            "*.web.shop.example.org",
            "*.example.org",
            "*.www.example.com",
            "*.given.example.org",
        ),
        *("*.bank.example.org", "*.bank.shop.example.org", "*.x.bank.shop.example.org", "*.pay.shop.example.org"),
        *("*.wild.shop.example.org", "*.x.wild.shop.example.org", "*.both.example.org", "*.x.both.example.org"),
        *("*.one.shop.example.org", "*.two.shop.example.org", "*.three.shop.example.org"),
        *(
            "*.shared.shop.example.org",
            "*.mine.bank.shop.example.org",
            "*.y.mine.bank.shop.example.org",
            "*.lonely.net",
        ),
        *("*.bank.shop.corp.example.org", "*.shop.corp.example.org", "*.a.shop.corp.example.org", "*.shop.local"),
        *("*.corp.example.net", "*.a.corp.example.net", "*.corp.example.org", "*.x.given.example.org"),
        *(
            "*",
            "*.",
            "*.org",
            "*.*.shop.example.org",
            "a.*.shop.example.org",
            "w*.shop.example.org",
            "*shop.example.org",
        ),
        *(
            "**.shop.example.org",
            "a.shop.example.*",
            ".*.shop.example.org",
            "%2a.shop.example.org",
            "?.shop.example.org",
        ),
    ),
    "look-alike": (
        *("ashop.example.org", "shop-example.org", "a.shop-example.org", "notexample.org", "a.shopexample.org"),
        *(
            "shop.example.org.example.net",
            "shop.example.orgs",
            "a.sh0p.example.org",
            "shop.examp1e.org",
            "org.example.shop",
        ),
        *("shop_example.org", "a.shop.example.com", "a.shop.example.net", "acorp.example.org", "a.shop.locals"),
        *(
            "www.example.com.shop.example.org",
            "example.org.shop",
            "xn--shop-example.org",
            "shop.corp.example.org.local",
        ),
    ),
    "international": (
        *(
            "a.shöp.example.org",
            "sh\u043ep.example.org",
            "\uff41.shop.example.org",
            "a。shop.example.org",
            "\u017fhop.example.org",
        ),
        *(
            "a.\u212aorp.example.org",
            "a\u00ad.shop.example.org",
            "\u200ba.shop.example.org",
            "a.shop.example.org\u200b",
        ),
        *("xn--shp-uqa.example.org", "xn--shp-hye.example.org", "xn--bcher-kva.shop.example.org"),
        *("XN--BCHER-KVA.shop.example.org", "*.xn--bcher-kva.shop.example.org", "xn--collegi-xma.shop.example.org"),
        *("xn--a-fda.shop.example.org", "xn--ab-0ea.shop.example.org", "xn--a-wbb.shop.example.org"),
        *("xn--wgv71a.shop.example.org", "xn--x-sy8h.shop.example.org", "xn--.shop.example.org"),
        *(
            "xn--shop.shop.example.org",
            "xn--a.shop.example.org",
            "xn--abc-.shop.example.org",
            "a.xn--bcher-kvb.example.org",
        ),
        *("xn--99999999.shop.example.org", "xn--zzzzzzzzzz.shop.example.org", "xn--ab-j1t.shop.example.org"),
        *("xn--i-7iq.shop.example.org", "xn--xn--a-gua.shop.example.org", "ab--cd.shop.example.org"),
        *("ab--cd.shop.corp.example.org", "a.xn--80ak6aa92e.com", "xn--fa-hia.shop.example.org"),
    ),
    "spelling": (
        *(
            "a.shop.example.org.",
            "A.Shop.Example.ORG",
            " a.shop.example.org",
            "a.shop.example.org\n",
            "a..shop.example.org",
        ),
        *(".a.shop.example.org", "", ".", "..", " ", "org", "shop", "a b.shop.example.org", "a\x00.shop.example.org"),
        *("a\n.shop.example.org", "-a.shop.example.org", "a-.shop.example.org", "a_b.shop.example.org"),
        *(f"{'a' * 63}.shop.example.org", f"{'a' * 64}.shop.example.org", f"{_LONG}.{'b' * 53}.shop.example.org"),
        *(f"{_LONG}.{'b' * 54}.shop.example.org", f"*.{_LONG}.{'b' * 51}.shop.example.org"),
        *(
            f"*.{_LONG}.{'b' * 52}.shop.example.org",
            "a.shop.example.org/",
            "a.shop.example.org:443",
            "a,b.shop.example.org",
        ),
        *("https://a.shop.example.org", "eve@shop.example.org", "a.shop.example.org;b", "a.shop.example.org\r\nX: y"),
    ),
    "public suffix": (
        *("co.uk", "*.co.uk", "github.io", "*.github.io", "org", "*.com", "kawasaki.jp", "*.kawasaki.jp"),
        *("shop.github.io", "bank.github.io", "*.shop.github.io", "example.co.uk", "a.co.uk", "a.kawasaki.jp"),
    ),
    "local": (
        *(
            "a.local",
            "a.shop.local",
            "shop.local",
            "*.shop.local",
            "shop.localhost",
            "a.shop.internal",
            "shop.home.arpa",
            "a.shop.home.arpa",
            "a.shop.onion",
        ),
        *(
            "localhost",
            "a.shop.test",
            "a.shop.example",
            "a.shop.invalid",
            "a.shop.onion",
            "shop.local.example.org",
            "a.corp",
        ),
    ),
    "address": (
        *("10.0.0.1", "127.1", "0x7f.1", "0x7f.0x1", "1.2.3.0x", "1.2.3.0X4", "0177.0.0.1", "2130706433", "a.shop.1"),
        *(
            "*.0.0.1",
            "::1",
            "[::1]",
            "2001:db8::1",
            "::ffff:10.0.0.1",
            "10.0.0.1.",
            "1.0.0.10.in-addr.arpa",
            "5.4.3.10.in-addr.arpa",
        ),
        *("10.0.0.1.shop.example.org", "1.0.0.10.in-addr.arpa.example.org", "8.b.d.ip6.arpa", "10.0.0.1/32"),
    ),
}


def _named(body: Json, name: str, *, turned: bool) -> Iterator[Mutant]:
    other = {"public": "internal", "internal": "public"}[body["exposure"]]
    yield f"{name!r} beside", {**body, "dns_names": [*body["dns_names"], name]}
    yield f"{name!r} alone", {**body, "dns_names": [name]}
    if turned:
        yield f"{name!r} as {other}", {**body, "dns_names": [name], "exposure": other}


def _of_names(kind: str) -> Mutation:
    # What is refused for how it is written is so whatever it is said to be.
    turned = kind not in {"spelling", "address", "international", "public suffix"}
    return lambda body: (mutant for name in NAMES[kind] for mutant in _named(body, name, turned=turned))


def _targets(*targets: Json) -> Mutation:
    def mutate(body: Json) -> Iterator[Mutant]:
        for target in targets:
            told = {key: value for key, value in target.items() if key != "name"}
            yield f"{told} alone", {**body, "targets": [target]}
            yield f"{told} last", {**body, "targets": [*body["targets"], {**target, "name": "more"}]}

    return mutate


def _fields(**values: tuple[Any, ...]) -> Mutation:
    return lambda body: (
        (f"{name}={value!r}", {**copy.deepcopy(body), name: value})
        for name, given in values.items()
        for value in given
    )


def _without(body: Json) -> Iterator[Mutant]:
    return (
        (f"no {name}", {key: value for key, value in body.items() if key != name}) for name in body if name != "proof"
    )


def _exposures_mixed(body: Json) -> Iterator[Mutant]:
    for other in ("b.shop.example.org", "b.shop.corp.example.org", "b.shop.local"):
        yield f"with {other}", {**body, "dns_names": [*body["dns_names"], other]}
        yield f"with {other}, before", {**body, "dns_names": [other, *body["dns_names"]]}


def _orders(body: Json) -> Iterator[Mutant]:
    names = [*body["dns_names"], "c.shop.example.org", "d.shop.example.org"]
    yield "as it is", body
    yield "more names", {**body, "dns_names": names}
    yield "more names, turned", {**body, "dns_names": names[::-1]}
    yield "a name twice", {**body, "dns_names": [*names, names[0]]}
    yield "a name twice, in capitals", {**body, "dns_names": [*names, names[0].upper()]}
    yield "a name twice, with a space", {**body, "dns_names": [*names, f" {names[0]}"]}


MUTATIONS: Final[dict[str, Mutation]] = {
    **{kind: _of_names(kind) for kind in NAMES},
    "exposure": _fields(exposure=("internal", "public", "Public", "PUBLIC", "hidden", "")),
    "exposures mixed": _exposures_mixed,
    "ca": _fields(
        issuer=("sslcom", "digicert", "letsencrypt", "ours", "other", "Sslcom", "sslcom ", "", "sslcom,digicert", "*")
    ),
    "key": _fields(
        key_algorithm=(
            *("ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "EC-P256", "ecdsa", "rsa", "rsa2048", "RSA-2048", "p256"),
            *("rsa-1024", "ec-p256 ", "ed25519", ""),
        )
    ),
    "namespace": _targets(
        *(
            pods(namespaces=[name])
            for name in ("bank", "shop", "shop-", "shopping", "shop-x", "xshop-web", "Shop-web")
        ),
        *(pods(namespaces=[name]) for name in ("kube-system", "kube-public", "shop-*", "*", "shop-web/../bank", "")),
        *(pods(namespaces=["shop-web", name]) for name in ("bank", "kube-system", "shop-two")),
        *(pods(site="site3", namespaces=[name]) for name in ("anything", "kube-system", "kube-public", "kubes")),
        *(
            pods(site="site4", namespaces=[name])
            for name in ("kube-public", "kube-system", "kube-publics", "shop-web")
        ),
        pods(namespaces=[]),
    ),
    "place": _targets(
        *(pods(site=site) for site in ("site2", "site9", "Site1", "site", "site11", "*", "")),
        *(pods(clusters=clusters) for clusters in (["east"], ["west", "east"], ["*"], ["East"])),
        *(
            pods(site="site2", namespaces=["shop"], clusters=clusters)
            for clusters in ([], ["west"], ["east"], ["west", "east"], ["West"])
        ),
        pods(site="site2", namespaces=["shop"], clusters=["west"], secret="other"),
        pods(site="site2", namespaces=["shop-web"], clusters=["west"]),
        *(pods(secret=secret) for secret in ("any-other", "kube-tls")),
        pods(secret="Any"),
        *(files(store=store) for store in ("default", "secret", "*", "Default", "../default")),
        *(files(site=site) for site in ("site9", "")),
        *(edge(instance=name) for name in ("edge", "vault", "default", "*")),
        edge(site="site2"),
        {"kind": "files", "name": "host"},
        {"kind": "haproxy", "name": "edge", "site": "site1"},
    ),
    "kind": _targets(
        *(pods(kind=kind) for kind in ("Kubernetes", "files", "haproxy", "fastly", "")),
        files(namespaces=["shop-web"]),
    ),
    "unknown": _fields(
        **dict.fromkeys(
            ("cn", "common_name", "ip_addresses", "emails", "team", "approved", "approvals", "policy"), ("x",)
        ),
        kind=("new", "renew", "New"),
        labels=({"exposure": "internal"}, {"team": "bank"}, {"policy": "skip"}),
        description=("approved: yes",),
        contact=("eve",),
        owner=("shop", "bank", "own-team", "all", "Shop", "shop ", "", None),
        name=("checkout", "Checkout", "a.b", "", "kube-system"),
    ),
    "unknown of a target": _targets(
        *(pods(**{field: "x"}) for field in ("team", "cluster", "namespace", "path", "url"))
    ),
    "missing": _without,
    "order": _orders,
}
