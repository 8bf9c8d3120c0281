from datetime import timedelta

from certbus.restore_views import restore_facts, unknown_table
from certcore.api import IssuedRevision, RestoreView
from tests.unit.certbus.samples import NOON

NEVER = RestoreView(database_id="d-1", epoch=0, began_at=None, waiting=False, reason="")
WAITING = RestoreView(
    database_id="d-1", epoch=2, began_at=NOON - timedelta(minutes=5), waiting=True, reason="it ends with event 7"
)


def test_a_database_that_was_never_restored_says_so() -> None:
    assert restore_facts(NEVER, NOON) == [("database", "d-1"), ("restored", "never")]


def test_a_restored_one_says_why_and_whether_the_issuer_has_reported() -> None:
    facts = dict(restore_facts(WAITING, NOON))
    assert facts["epoch"] == "2"
    assert facts["restored"].endswith(": it ends with event 7")
    assert facts["issuer"].startswith("has not reported yet")
    assert dict(restore_facts(WAITING.model_copy(update={"waiting": False}), NOON))["issuer"] == "has reported"


def test_each_unknown_certificate_has_a_row() -> None:
    lost = IssuedRevision(
        certificate_id="c-9",
        revision=3,
        serial="ab",
        fingerprint_sha256="f",
        not_before=NOON,
        not_after=NOON + timedelta(days=30),
    )
    [row] = unknown_table(WAITING.model_copy(update={"unknown": (lost,)}), NOON).rows
    assert [cell.text for cell in row][:4] == ["c-9", "3", "platform", "ab"]
