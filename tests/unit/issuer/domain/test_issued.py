from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certcore.inspection import read_certificate, read_chain, spki_sha256
from issuer.domain.errors import UnfitCertificateError
from issuer.domain.issued import ari_id, check_issued, issued_revisions
from issuer.domain.job import Job, JobId, JobState
from issuer.domain.key_material import KeyMaterial
from issuer.domain.revoked import Revocation, RevocationReason
from tests.authority import Authority, Issued, pem
from tests.unit.issuer.samples import job, order

AUTHORITY = Authority()
NAMES = ("shop.example.org", "*.shop.example.org")
NOW = datetime.now(UTC)


def check(issued: Issued, *, names: tuple[str, ...] = NAMES, chain_pem: str | None = None) -> str:
    spki = spki_sha256(issued.leaf.public_key())
    return check_issued(chain_pem or issued.chain_pem, spki_sha256=spki, dns_names=names, now=NOW).serial


def test_what_was_asked_for_is_taken() -> None:
    issued = AUTHORITY.issue(*NAMES)
    assert check(issued) == issued.serial


def test_the_order_of_names_does_not_matter() -> None:
    issued = AUTHORITY.issue(*reversed(NAMES))
    assert check(issued) == issued.serial


@pytest.mark.parametrize("names", [NAMES[:1], (*NAMES, "more.example.org"), ("other.example.org",)])
def test_other_names_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(UnfitCertificateError, match="other names"):
        check(AUTHORITY.issue(*names))


def test_another_key_is_refused() -> None:
    with pytest.raises(UnfitCertificateError, match="another key"):
        check(AUTHORITY.issue(*NAMES), chain_pem=AUTHORITY.issue(*NAMES).chain_pem)


@pytest.mark.parametrize(
    ("not_before", "not_after"),
    [
        (NOW - timedelta(days=2), NOW - timedelta(days=1)),
        (NOW + timedelta(days=1), NOW + timedelta(days=2)),
    ],
)
def test_one_that_is_not_valid_now_is_refused(not_before: datetime, not_after: datetime) -> None:
    with pytest.raises(UnfitCertificateError, match="not now"):
        check(AUTHORITY.issue(*NAMES, not_before=not_before, not_after=not_after))


def has(issued: Issued, revision: int, state: JobState = JobState.STORED) -> Job:
    key = KeyMaterial(b"a CSR", spki_sha256(issued.leaf.public_key()), ())
    asked = order(*issued.dns_names)
    return job(state, id=JobId("a", revision, "cdn"), issue_order=asked, key=key, chain_pem=issued.chain_pem)


def test_a_registry_is_told_of_each_bundle_that_it_can_have_again() -> None:
    issued = AUTHORITY.issue(*NAMES)
    expired = AUTHORITY.issue(*NAMES, not_before=NOW - timedelta(days=2), not_after=NOW - timedelta(days=1))
    unfit = replace(has(issued, 4), issue_order=order("other.example.org"))
    forgotten = replace(has(issued, 5), key=None, chain_pem=None)
    revoked = replace(has(issued, 6), revocation=Revocation(NOW, RevocationReason.SUPERSEDED))
    valid = [has(issued, 1), has(issued, 2, JobState.ISSUED)]
    jobs = [*valid, has(expired, 3), unfit, forgotten, revoked, job(JobState.KEYED)]
    told = issued_revisions(jobs, now=NOW)
    assert [item.revision for item in told] == [1, 2]
    assert (told[0].certificate_id, told[0].variant) == ("a", "cdn")
    assert (told[0].serial, told[0].fingerprint_sha256) == (issued.serial, issued.fingerprint)
    assert (told[0].not_before, told[0].not_after) == (
        issued.leaf.not_valid_before_utc,
        issued.leaf.not_valid_after_utc,
    )


def test_a_chain_that_does_not_hang_together_is_refused() -> None:
    issued = AUTHORITY.issue(*NAMES)
    with pytest.raises(UnfitCertificateError, match="hang together"):
        check(issued, chain_pem=issued.leaf_pem + pem(Authority().issuing))


@pytest.mark.parametrize("chain_pem", ["nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(chain_pem: str) -> None:
    with pytest.raises(UnfitCertificateError):
        check(AUTHORITY.issue(*NAMES), chain_pem=chain_pem)


# The certificate of RFC 9773, Appendix A.
RFC_9773_EXAMPLE = """\
-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----
"""


def test_the_renewal_id_is_that_of_the_rfc() -> None:
    certificate = x509.load_pem_x509_certificate(RFC_9773_EXAMPLE.encode())
    leaf = read_certificate(certificate.public_bytes(Encoding.DER))
    assert ari_id(leaf) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


def test_one_that_names_no_authority_key_has_no_renewal_id() -> None:
    leaf = read_chain(AUTHORITY.issue(*NAMES).chain_pem.encode())[0]
    assert ari_id(leaf) is None
