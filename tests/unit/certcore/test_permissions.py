import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.identities import identity, owner_identity
from certcore.permissions import Grant, accounts, grants

KEY = "U" + "A" * 55

_labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True).filter(lambda label: label != "hub")


def _overlap(one: str, other: str) -> bool:
    """Whether a subject matches both patterns."""
    ours, theirs = one.split("."), other.split(".")
    for left, right in zip(ours, theirs, strict=False):
        if ">" in {left, right}:
            return True
        if "*" not in {left, right} and left != right:
            return False
    return len(ours) == len(theirs)


@given(
    sites=st.lists(_labels, unique=True, min_size=2, max_size=4), owners=st.lists(_labels, unique=True, max_size=4)
)
def test_no_outsider_shares_a_subject_with_another(sites: list[str], owners: list[str]) -> None:
    outsiders = [identity(site, service) for site in sites for service in ("syncer", "pusher")]
    outsiders += ["hub-pusher", "issuer", "monitor"]
    outsiders += [owner_identity(owner) for owner in owners]
    if len(set(outsiders)) < len(outsiders):
        with pytest.raises(ValueError, match="share the identity"):
            grants(sites=sites, owners=owners)
        return
    granted = grants(sites=sites, owners=owners)

    for one in outsiders:
        for other in outsiders:
            if one == other:
                continue
            for kind in ("publish", "subscribe"):
                for ours in getattr(granted[one], kind):
                    assert not any(_overlap(ours, theirs) for theirs in getattr(granted[other], kind))


def test_an_owner_and_a_site_never_share_an_identity() -> None:
    with pytest.raises(ValueError, match="owner syncer and a site would share"):
        grants(sites=["owner"], owners=["syncer"])


def test_no_site_has_the_hub_s_name() -> None:
    with pytest.raises(ValueError, match="no site may be called hub"):
        grants(sites=["hub"], owners=[])


def test_the_registry_reads_places_and_owners_that_are_declared_later() -> None:
    assert grants(sites=[], owners=[])["registry"].publish[-9:] == (
        "$JS.API.CONSUMER.INFO.REQUESTS.*",
        "$JS.API.CONSUMER.MSG.NEXT.REQUESTS.*",
        "$JS.ACK.REQUESTS.*.>",
        "$JS.API.CONSUMER.INFO.*.registry",
        "$JS.API.CONSUMER.MSG.NEXT.*.registry",
        "$JS.ACK.*.registry.>",
        "$JS.API.CONSUMER.INFO.ALERTS.registry-alerts",
        "$JS.API.CONSUMER.MSG.NEXT.ALERTS.registry-alerts",
        "$JS.ACK.ALERTS.registry-alerts.>",
    )


def test_an_identity_without_a_key_is_not_rendered() -> None:
    with pytest.raises(ValueError, match="issuer has no public NKey"):
        accounts({"issuer": Grant(("a",), ("b",))}, {})


def test_a_seed_in_place_of_a_public_key_is_refused() -> None:
    with pytest.raises(ValueError, match="no public NKey") as refusal:
        accounts({"issuer": Grant(("a",), ("b",))}, {"issuer": "SU" + "A" * 56})

    assert "SUA" not in str(refusal.value)


def test_the_hub_exports_to_each_account_only_what_it_is_granted() -> None:
    granted = grants(sites=["site1"], owners=["payments"])
    rendered = accounts(granted, dict.fromkeys(granted, KEY))

    exported = [line for line in rendered.splitlines() if 'accounts: ["owner-payments"]' in line]
    assert [line.split('"')[1] for line in exported] == [
        "certs.request.payments.submit",
        "$JS.API.DIRECT.GET.ANSWERS_payments.certs.answer.payments.>",
        "$JS.API.CONSUMER.INFO.ALERTS.alerts-payments",
        "$JS.API.CONSUMER.MSG.NEXT.ALERTS.alerts-payments",
        "$JS.ACK.ALERTS.alerts-payments.>",
        "$JS.API.INFO",
        "certs.answer.payments.>",
    ]
