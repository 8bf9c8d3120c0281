"""A key that is held elsewhere: its signing request is checked again, and no key is made for it."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from certcore.events import Recipient
from certcore.inspection import spki_sha256
from issuer.domain.admission import objection_to
from issuer.domain.errors import UnsupportedIssueOrderError
from issuer.domain.failure import FailureReason
from issuer.domain.job import JobState
from issuer.domain.key_material import make_key_material
from issuer.domain.reopening import ReopeningReason, reopen_listed
from tests.authority import key_pem
from tests.signing_requests import csr_pem, with_wrong_signature
from tests.unit.issuer.samples import NOON, job, order

NAME = "shop.example.org"
KEY = ec.generate_private_key(ec.SECP256R1())


def a_csr(*names: str, key: Any = KEY, common_name: str = NAME, **options: Any) -> str:
    return csr_pem(*(names or (NAME,)), key=key, common_name=common_name, **options)


def ordered(csr: str, **fields: Any) -> Any:
    return order(csr_pem=csr, **{"variant": "box", **fields})


def test_the_offered_request_is_what_the_ca_gets_and_no_key_is_made() -> None:
    # Pasted beside it by mistake, its key goes no further.
    asked = ordered(a_csr() + key_pem(KEY))
    assert objection_to(asked) is None
    made = make_key_material(asked, escrow_public_key="is of no use")
    assert made.sealed == ()
    assert made.for_recipients() == ()
    assert made.for_escrow is None
    assert made.spki_sha256 == spki_sha256(KEY.public_key())
    assert x509.load_der_x509_csr(made.csr_der) == x509.load_pem_x509_csr(a_csr_like(asked).encode())


def a_csr_like(asked: Any) -> str:
    pem: str = asked.csr_pem
    return pem[: pem.index("-----END CERTIFICATE REQUEST-----") + 34]


@pytest.mark.parametrize(
    ("csr", "fields", "why"),
    [
        ("a CSR", {}, "signing request"),
        ("\ud800", {}, "signing request"),
        (with_wrong_signature(csr_pem(NAME)), {}, "wrong signature"),
        (a_csr(NAME, "more.example.org"), {}, "other names"),
        (a_csr("other.example.org"), {}, "other names"),
        (a_csr(NAME, others=[x509.RFC822Name("a@example.org")]), {}, "other names"),
        (a_csr(common_name="bank.example.org"), {}, "common name"),
        (a_csr(), {"key_algorithm": "rsa-2048"}, "a key of ec-p256, not rsa-2048"),
        (a_csr(key=ec.generate_private_key(ec.SECP521R1())), {}, "an unknown kind"),
        (a_csr(), {"variant": "platform"}, "sealed to nobody"),
        (a_csr(), {"recipients": (Recipient(name="site1-syncer", public_key="a key"),)}, "sealed to nobody"),
    ],
)
def test_what_is_not_to_be_signed_is_refused_before_anything_is_done(csr: str, fields: Any, why: str) -> None:
    asked = ordered(csr, **fields)
    objection = objection_to(asked)
    assert objection is not None
    assert objection.reason is FailureReason.ISSUE_ORDER_UNFIT
    assert why in objection.detail
    # And once more where the key would be made, whatever let it through.
    with pytest.raises(UnsupportedIssueOrderError):
        make_key_material(asked, escrow_public_key=None)


@pytest.mark.parametrize("state", [JobState.KEYED, JobState.ORDERED, JobState.STORED])
@pytest.mark.parametrize("given_up", [False, True])
def test_another_request_in_the_list_starts_the_job_anew(state: JobState, given_up: bool) -> None:  # noqa: FBT001 # a parameter
    first, second = ordered(a_csr()), ordered(a_csr(key=ec.generate_private_key(ec.SECP256R1())))
    known = job(state, issue_order=first, given_up=given_up, version=7)
    reopening = reopen_listed(known, second, now=NOON, first=False)
    assert reopening.reason is ReopeningReason.ISSUED_ANEW
    assert (reopening.job.state, reopening.job.issue_order, reopening.job.version) == (JobState.ACCEPTED, second, 7)
    assert (reopening.job.key, reopening.job.ca_order) == (None, None)


def test_the_same_request_in_the_list_goes_on_as_it_was() -> None:
    first = ordered(a_csr())
    known = job(JobState.ORDERED, issue_order=first)
    assert reopen_listed(known, first, now=NOON, first=True).job is known
