from dataclasses import replace
from datetime import timedelta

import pytest

from certdelivery.model import Held, Wanted, Withdrawal, WriteReason
from syncer.domain.origin import OwnerReference, SecretMarks
from syncer.domain.secret import (
    Conflict,
    ConflictReason,
    ExistingSecret,
    Keep,
    KeepReason,
    Pair,
    Remove,
    Write,
    annotations_for,
    judge,
    judge_withdrawal,
    labels_for,
)
from tests.issuing import NOON, kubernetes_target

WANTED = Wanted(
    certificate_id="crt-0001",
    name="shop",
    target=kubernetes_target("shop"),
    place="site1",
    generation=3,
    revision=3,
    variant="platform",
    fingerprint_sha256="3" * 64,
    serial="3",
    not_after=NOON + timedelta(days=30),
)
OLDER = replace(WANTED, generation=2, revision=2, fingerprint_sha256="2" * 64, not_after=NOON + timedelta(days=20))
NEWER = replace(WANTED, generation=4, revision=4, fingerprint_sha256="4" * 64, not_after=NOON + timedelta(days=40))
BACK = replace(OLDER, generation=4)
"""A rollback: a higher generation with an earlier revision."""


def _holding(held: Wanted) -> ExistingSecret:
    chain_sha256 = "c" * 64
    return ExistingSecret(
        type="kubernetes.io/tls",
        marks=SecretMarks(labels_for(held), annotations_for(held, chain_sha256=chain_sha256)),
        pair=Pair(held.fingerprint_sha256, held.not_after, chain_sha256, key_fits=True),
        uid="u",
        resource_version="7",
    )


def _before_generations(held: Wanted) -> ExistingSecret:
    """As it was written before there were generations."""
    existing = _holding(held)
    unknown = {"certbus.dev/generation", "certbus.dev/marks-sha256"}
    annotations = {name: value for name, value in existing.marks.annotations.items() if name not in unknown}
    return replace(existing, marks=SecretMarks(existing.marks.labels, annotations))


def _with_marks(
    existing: ExistingSecret,
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    owners: tuple[OwnerReference, ...] = (),
) -> ExistingSecret:
    marks = SecretMarks(
        {**existing.marks.labels, **(labels or {})}, {**existing.marks.annotations, **(annotations or {})}, owners
    )
    return replace(existing, marks=marks)


def test_a_missing_secret_is_written() -> None:
    assert judge(None, WANTED) == Write(WriteReason.MISSING)


def test_a_right_secret_is_kept() -> None:
    assert judge(_holding(WANTED), WANTED) == Keep(KeepReason.RIGHT)


def test_a_lower_generation_is_replaced_and_a_higher_one_is_kept_whatever_the_revision() -> None:
    assert judge(_holding(OLDER), WANTED) == Write(WriteReason.OLDER)
    assert judge(_holding(NEWER), WANTED) == Keep(KeepReason.NEWER, Held(4, "4" * 64, 4))
    assert judge(_holding(WANTED), BACK) == Write(WriteReason.OLDER)
    assert judge(_holding(BACK), WANTED) == Keep(KeepReason.NEWER, Held(2, "2" * 64, 4))
    assert judge(_holding(BACK), BACK) == Keep(KeepReason.RIGHT)


def test_the_same_revision_for_a_later_order_gets_its_generation() -> None:
    again = replace(WANTED, generation=4)
    assert judge(_holding(WANTED), again) == Write(WriteReason.OLDER)
    assert judge(_holding(again), WANTED) == Keep(KeepReason.NEWER, Held(3, "3" * 64, 4))


def test_what_was_written_before_there_were_generations_counts_by_its_revision() -> None:
    assert judge(_before_generations(WANTED), WANTED) == Keep(KeepReason.RIGHT)
    assert judge(_before_generations(OLDER), WANTED) == Write(WriteReason.OLDER)
    assert judge(_before_generations(WANTED), BACK) == Write(WriteReason.OLDER)
    assert judge(_before_generations(NEWER), WANTED) == Keep(KeepReason.NEWER, Held(4, "4" * 64))
    claiming = _with_marks(_before_generations(OLDER), annotations={"certbus.dev/revision": "999"})
    assert judge(claiming, WANTED) == Write(WriteReason.EDITED)


def test_an_annotation_that_only_claims_to_be_newer_is_not_believed() -> None:
    for held in (OLDER, WANTED):
        claiming = _with_marks(_holding(held), annotations={"certbus.dev/generation": "999"})
        assert judge(claiming, WANTED) == Write(WriteReason.EDITED)
    claiming = _with_marks(_holding(WANTED), annotations={"certbus.dev/revision": "999"})
    assert judge(claiming, WANTED) == Write(WriteReason.EDITED)
    broken = replace(_holding(NEWER), pair=None)
    assert judge(broken, WANTED) == Write(WriteReason.EDITED)


@pytest.mark.parametrize(
    "pair",
    [
        None,
        Pair("3" * 64, WANTED.not_after, "c" * 64, key_fits=False),
        Pair("3" * 64, WANTED.not_after, "d" * 64, key_fits=True),
        Pair("9" * 64, WANTED.not_after, "c" * 64, key_fits=True),
    ],
    ids=["unreadable", "key of another", "other chain", "other certificate"],
)
def test_edited_data_is_written_again(pair: Pair | None) -> None:
    assert judge(replace(_holding(WANTED), pair=pair), WANTED) == Write(WriteReason.EDITED)


@pytest.mark.parametrize("number", ["", "three", "-3", "٣", "3.0", "9" * 5000])
@pytest.mark.parametrize("mark", ["revision", "generation"])
def test_an_edited_number_is_written_again(mark: str, number: str) -> None:
    edited = _with_marks(_holding(WANTED), annotations={f"certbus.dev/{mark}": number})
    assert judge(edited, WANTED) == Write(WriteReason.EDITED)


def test_another_site_s_mark_on_the_same_copy_is_left_so_that_two_sites_never_fight() -> None:
    shared = _with_marks(_holding(WANTED), labels={"certbus.dev/site": "site2"})
    assert judge(shared, WANTED) == Keep(KeepReason.RIGHT)


def test_a_secret_without_our_origin_is_foreign_whatever_it_holds() -> None:
    foreign = replace(_holding(WANTED), marks=SecretMarks(labels={"app.kubernetes.io/managed-by": "Helm"}))
    judged = judge(foreign, WANTED)
    assert judged == Conflict(ConflictReason.FOREIGN, "is not certbus's, kept by helm")


def test_a_copy_of_another_certificate_is_not_taken_over() -> None:
    other = _holding(replace(WANTED, certificate_id="crt-0002", name="pay"))
    assert judge(other, WANTED) == Conflict(ConflictReason.OTHER_CERTIFICATE, "belongs to certificate pay")


def test_a_secret_of_another_type_is_never_written() -> None:
    opaque = replace(_holding(OLDER), type="Opaque")
    judged = judge(opaque, WANTED)
    assert isinstance(judged, Conflict)
    assert judged.reason is ConflictReason.WRONG_TYPE


def test_a_secret_that_a_controller_would_write_again_is_left_to_it_even_with_our_marks() -> None:
    owned = _with_marks(_holding(OLDER), annotations={"cert-manager.io/certificate-name": "shop-cert"})
    assert judge(owned, WANTED) == Conflict(ConflictReason.OWNED, "belongs to cert-manager Certificate shop-cert")
    owned = _with_marks(_holding(OLDER), owners=(OwnerReference("SealedSecret", "shop", "bitnami.com/v1"),))
    assert judge(owned, WANTED) == Conflict(ConflictReason.OWNED, "belongs to SealedSecret shop")


def test_only_our_own_copy_of_this_very_certificate_is_removed() -> None:
    withdrawal = Withdrawal("crt-0001", "shop", WANTED.target, "site1", generation=4)
    assert judge_withdrawal(_holding(WANTED), withdrawal) == Remove()
    assert judge_withdrawal(_before_generations(WANTED), withdrawal) == Remove()
    assert judge_withdrawal(None, withdrawal) == Keep(KeepReason.GONE)
    for stranger in (
        replace(_holding(WANTED), marks=SecretMarks(labels={"app.kubernetes.io/managed-by": "Helm"})),
        replace(_holding(WANTED), type="Opaque"),
        _holding(replace(WANTED, certificate_id="crt-0002")),
        _with_marks(_holding(WANTED), annotations={"cert-manager.io/certificate-name": "shop-cert"}),
    ):
        assert judge_withdrawal(stranger, withdrawal) == Keep(KeepReason.NOT_OURS)


def test_a_copy_of_a_later_order_outlives_an_older_withdrawal() -> None:
    withdrawal = Withdrawal("crt-0001", "shop", WANTED.target, "site1", generation=3)
    assert judge_withdrawal(_holding(NEWER), withdrawal) == Keep(KeepReason.NEWER, Held(4, "4" * 64, 4))
