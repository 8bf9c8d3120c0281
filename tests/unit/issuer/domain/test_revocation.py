from datetime import datetime, timedelta
from typing import Any

import pytest

from certcore.inspection import X509Certificate, read_chain
from issuer.domain.job import JobId
from issuer.domain.revocation import Asked, CaSort, Decision, KnownLeaf, RevocationVerdict, Way, decide_revocation
from issuer.domain.revoked import Revocation, RevocationReason, reason_named
from tests.authority import Authority

LEAF = read_chain(Authority().issue("shop.example.org").chain_pem.encode())[0]
NOW = LEAF.not_after - timedelta(days=1)
CAS = {"public": CaSort.ACME, "second": CaSort.ACME, "own": CaSort.SIGNING}
REVOKED = Revocation(NOW, RevocationReason.SUPERSEDED)


def known(**fields: Any) -> KnownLeaf:
    return KnownLeaf(**{"job": JobId("an-id", 3), "name": "shop", "ca": "public", "newest": False, **fields})


def decide(*leaves: KnownLeaf, leaf: X509Certificate = LEAF, now: datetime = NOW, **asked: Any) -> Decision:
    return decide_revocation(leaf, leaves, Asked(RevocationReason.SUPERSEDED, **asked), cas=CAS, now=now)


def test_an_older_revision_is_revoked_by_the_account_of_the_ca_that_the_journal_names() -> None:
    decision = decide(known())
    assert (decision.verdict, decision.ca, decision.way) == (RevocationVerdict.ALLOWED, "public", Way.BY_ACCOUNT)


def test_with_its_own_key_it_is_revoked_by_that_one() -> None:
    assert decide(known(), key_spki=LEAF.spki_sha256).way is Way.BY_OWN_KEY


def test_a_ca_that_signs_here_lists_it_whatever_key_is_given() -> None:
    assert decide(known(ca="own")).way is Way.BY_LIST
    assert decide(known(ca="own"), key_spki=LEAF.spki_sha256).way is Way.BY_LIST


def test_another_key_is_refused() -> None:
    decision = decide(known(), key_spki="00" * 32)
    assert (decision.verdict, decision.ca, decision.way) == (RevocationVerdict.OTHER_KEY, None, None)


def test_what_is_probably_served_is_refused_with_the_way_out() -> None:
    decision = decide(known(newest=True))
    assert (decision.verdict, decision.ca) == (RevocationVerdict.STILL_SERVED, None)
    assert "certbus cert renew shop" in decision.told
    assert "--force" in decision.told


def test_one_of_several_jobs_with_the_leaf_is_enough_to_refuse() -> None:
    assert decide(known(), known(newest=True)).verdict is RevocationVerdict.STILL_SERVED


def test_force_revokes_also_what_is_served() -> None:
    decision = decide(known(newest=True), force=True)
    assert (decision.verdict, decision.way) == (RevocationVerdict.FORCED, Way.BY_ACCOUNT)


def test_what_is_revoked_already_may_be_asked_for_again() -> None:
    decision = decide(known(newest=True, revocation=REVOKED))
    assert (decision.verdict, decision.ca) == (RevocationVerdict.WAS_REVOKED, "public")


def test_what_the_journal_does_not_know_needs_the_name_of_its_ca() -> None:
    decision = decide()
    assert decision.verdict is RevocationVerdict.CA_UNKNOWN
    assert "--ca, one of: own, public, second" in decision.told
    assert decide(ca="second").ca == "second"


def test_a_ca_that_is_not_configured_is_refused_unless_another_is_named_for_it() -> None:
    decision = decide(known(ca="renamed"))
    assert decision.verdict is RevocationVerdict.CA_UNKNOWN
    assert "no CA named renamed is configured, but: own, public, second" in decision.told
    assert decide(known(ca="renamed"), ca="public").ca == "public"


def test_another_ca_than_the_journal_says_is_refused() -> None:
    decision = decide(known(), ca="second")
    assert decision.verdict is RevocationVerdict.OTHER_CA
    assert decide(known(), ca="public").verdict is RevocationVerdict.ALLOWED


def test_what_has_ended_is_not_revoked() -> None:
    assert decide(known(), now=LEAF.not_after).verdict is RevocationVerdict.EXPIRED
    assert decide(known(), now=LEAF.not_after - timedelta(seconds=1)).verdict is RevocationVerdict.ALLOWED


@pytest.mark.parametrize("verdict", RevocationVerdict)
def test_only_what_may_be_done_names_ca_and_way(verdict: RevocationVerdict) -> None:
    decisions = {
        RevocationVerdict.ALLOWED: decide(known()),
        RevocationVerdict.FORCED: decide(known(newest=True), force=True),
        RevocationVerdict.WAS_REVOKED: decide(known(revocation=REVOKED)),
        RevocationVerdict.STILL_SERVED: decide(known(newest=True)),
        RevocationVerdict.EXPIRED: decide(now=LEAF.not_after),
        RevocationVerdict.CA_UNKNOWN: decide(),
        RevocationVerdict.OTHER_CA: decide(known(), ca="own"),
        RevocationVerdict.OTHER_KEY: decide(known(), key_spki="00"),
    }
    decision = decisions[verdict]
    may = verdict in {RevocationVerdict.ALLOWED, RevocationVerdict.FORCED, RevocationVerdict.WAS_REVOKED}
    assert decision.verdict is verdict
    assert (decision.ca is not None, decision.way is not None) == (may, may)


def test_reasons_have_the_names_and_numbers_of_the_rfc() -> None:
    assert {str(reason_named(reason)): reason.code for reason in RevocationReason} == {
        "unspecified": 0,
        "keyCompromise": 1,
        "affiliationChanged": 3,
        "superseded": 4,
        "cessationOfOperation": 5,
    }


@pytest.mark.parametrize("name", ["cACompromise", "certificateHold", "removeFromCRL", "keycompromise", "1", ""])
def test_another_reason_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=r"unspecified \(0\), keyCompromise \(1\), .* cessationOfOperation \(5\)"):
        reason_named(name)
