from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certcore.api import CertificateState as S
from certcore.certificate import KeyAlgorithm
from certcore.errors import PermanentError
from certcore.events import CsrAccepted, CsrExpired, CsrOffered, IssueCause
from certcore.inspection import read_csr
from certcore.subjects import Reporter
from registry.domain.issuance import expire_csr, offer_csr
from registry.domain.revision import SigningRequest, SigningState
from registry.domain.rollout import Rollout
from registry.domain.signing import WantedCsr, want_csrs
from tests.signing_requests import csr_pem, with_wrong_signature
from tests.unit.registry.samples import NOON, approval, certificate, intent, placement, rollout, signing

NAME = "checkout.example.org"
KEY = ec.generate_private_key(ec.SECP256R1())
CSR = csr_pem(NAME, key=KEY)
PUSHER = Reporter("hub", "pusher")
BOTH = [{"kind": "files", "name": "web", "site": "site1"}, {"kind": "cdn", "name": "cdn"}]


def with_cdn(*requests: SigningRequest, state: S = S.APPROVED, ordered: int = 1) -> Rollout:
    return rollout(
        certificate(state, ordered=ordered, intent=intent(targets=BOTH)),
        revisions=(),
        placements=(placement(wanted=None), placement("cdn", wanted=None, own_key=True)),
        signing=requests,
    )


def offered(pem: str = CSR, *, number: int = 1, target: str = "cdn") -> CsrOffered:
    return CsrOffered(certificate_id="c-1", target=target, revision=number, variant="cdn", csr_pem=pem)


def offer(
    of: Rollout, report: CsrOffered, who: Reporter = PUSHER, *, is_known_key: bool = False
) -> tuple[object, ...]:
    change = offer_csr(of, report, who, approval(), is_known_key=is_known_key, now=NOON)
    return (*change.signing, *change.announced)


def states(requests: tuple[SigningRequest, ...]) -> list[tuple[int, SigningState]]:
    return [(item.revision, item.state) for item in requests]


# ── asked ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_target_that_makes_its_own_key_is_asked_at_its_place() -> None:
    requests, asked = want_csrs(with_cdn(), 1, now=NOON)
    assert states(requests) == [(1, SigningState.WANTED)]
    [question] = asked
    assert (question.place, question.service) == ("hub", "pusher")
    assert (question.event.target.name, question.event.variant, question.event.revision) == ("cdn", "cdn", 1)
    assert (question.event.dns_names, question.event.key_algorithm) == ((NAME,), KeyAlgorithm.EC_P256)


def test_the_next_revision_drops_one_that_still_waits_for_its_request() -> None:
    requests, asked = want_csrs(with_cdn(signing(number=1)), 2, now=NOON)
    assert states(requests) == [(1, SigningState.DROPPED), (2, SigningState.WANTED)]
    assert [item.event.revision for item in asked] == [2]


def test_a_request_that_was_sent_to_the_issuer_goes_on() -> None:
    assert want_csrs(with_cdn(signing(SigningState.ORDERED, number=1)), 2, now=NOON) == ((), ())


def test_what_waits_already_is_asked_again_and_not_dropped() -> None:
    requests, asked = want_csrs(with_cdn(signing(number=2)), 2, now=NOON)
    assert states(requests) == [(2, SigningState.WANTED)]
    assert len(asked) == 1


def test_a_revision_that_is_ordered_again_does_not_ask_for_a_variant_that_is_issued() -> None:
    assert want_csrs(with_cdn(signing(SigningState.ISSUED, number=2)), 2, now=NOON) == ((), ())


@pytest.mark.parametrize("state", [SigningState.ISSUED, SigningState.DROPPED])
def test_what_ended_before_stays_as_it_is(state: SigningState) -> None:
    requests, _ = want_csrs(with_cdn(signing(state, number=1)), 2, now=NOON)
    assert states(requests) == [(2, SigningState.WANTED)]


def test_a_target_that_can_not_be_read_is_not_asked() -> None:
    of = with_cdn()
    unreadable = of.with_certificate(replace(of.certificate, intent=intent()))
    assert want_csrs(unreadable, 1, now=NOON) == ((), ())


# ── offered ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_offered_request_is_ordered_from_the_issuer_with_nobody_to_seal_to() -> None:
    kept, accepted = offer(with_cdn(signing()), offered())
    assert isinstance(kept, SigningRequest)
    assert (kept.state, kept.csr_pem) == (SigningState.ORDERED, CSR)
    assert kept.spki_sha256 == read_csr(CSR.encode()).spki_sha256
    assert isinstance(accepted, CsrAccepted)
    order = accepted.order
    assert (order.variant, order.csr_pem, order.recipients, order.approval_id) == ("cdn", CSR, (), "a-1")
    assert (order.cause, order.dns_names) == (IssueCause.FIRST, (NAME,))


@pytest.mark.parametrize(
    ("pem", "word"),
    [
        (csr_pem("other.example.org"), "other names"),
        (csr_pem(NAME, "other.example.org"), "other names"),
        (csr_pem(), "no DNS name"),
        (csr_pem(NAME, key=ec.generate_private_key(ec.SECP384R1())), "a key of ec-p384, not ec-p256"),
        (with_wrong_signature(csr_pem(NAME)), "wrong signature"),
        ("", "can't be read"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----", "can't be read"),
    ],
)
def test_a_request_that_must_not_be_signed_is_refused(pem: str, word: str) -> None:
    with pytest.raises(PermanentError, match=word):
        offer(with_cdn(signing()), offered(pem))


def test_a_key_that_was_used_before_is_refused() -> None:
    with pytest.raises(PermanentError, match="used before"):
        offer(with_cdn(signing()), offered(), is_known_key=True)


def test_nobody_offers_for_the_target_of_another() -> None:
    with pytest.raises(PermanentError, match="can't report for pusher at hub"):
        offer(with_cdn(signing()), offered(), Reporter("site1", "pusher"))
    with pytest.raises(PermanentError, match="has no target other"):
        offer(with_cdn(signing()), offered(target="other"))


@pytest.mark.parametrize("state", [state for state in SigningState if state is not SigningState.WANTED])
def test_a_request_that_nobody_waits_for_changes_nothing(state: SigningState) -> None:
    assert offer(with_cdn(signing(state)), offered()) == ()
    assert offer(with_cdn(signing()), offered(number=2)) == ()


def test_the_platform_s_variant_takes_no_request() -> None:
    report = CsrOffered(certificate_id="c-1", target="web", revision=1, variant="platform", csr_pem=CSR)
    assert offer(with_cdn(signing()), report, Reporter("site1", "syncer")) == ()


# ── expired ─────────────────────────────────────────────────────────────────────────────────────────────────


def expired(number: int = 1) -> CsrExpired:
    return CsrExpired(certificate_id="c-1", target="cdn", revision=number, variant="cdn", detail="30 days passed")


def test_a_key_that_a_target_gave_up_is_asked_for_anew() -> None:
    sent = signing(SigningState.ORDERED, csr_pem=CSR, spki_sha256="f", failure="the CA refused")
    change = expire_csr(with_cdn(sent), expired(), PUSHER, now=NOON)
    assert change.signing == (signing(),)
    assert [type(item) for item in change.announced] == [WantedCsr]
    assert change.reason.endswith("expired: 30 days passed")


@pytest.mark.parametrize("state", [state for state in SigningState if state is not SigningState.ORDERED])
def test_only_a_pending_key_expires(state: SigningState) -> None:
    assert expire_csr(with_cdn(signing(state)), expired(), PUSHER, now=NOON).signing == ()


def test_a_key_of_a_target_that_can_not_be_read_is_set_aside() -> None:
    of = with_cdn(signing(SigningState.ORDERED))
    unreadable = of.with_certificate(replace(of.certificate, intent=intent()))
    with pytest.raises(PermanentError, match="has no target cdn that can be read"):
        expire_csr(unreadable, expired(), PUSHER, now=NOON)
