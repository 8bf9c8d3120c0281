from datetime import timedelta

from certbus.token_views import change_table, token_table
from certcore.tokens import RightsChangeView, TokenSummary
from tests.unit.certbus.samples import NOON


def token(**changes: object) -> TokenSummary:
    fields: dict[str, object] = {
        "id": "t1",
        "name": "laptop",
        "issuer": "registry",
        "subject": "ana",
        "owner": "shop",
        "kind": "person",
        "roles": ["viewer", "of-a-later-version"],
        "made_by": ["admin"],
        "created_at": NOON,
    }
    return TokenSummary.model_validate(fields | changes)


def test_a_token_says_whose_it_is_when_it_was_used_and_how_it_ends() -> None:
    ends, used = NOON + timedelta(days=5, hours=1), NOON - timedelta(hours=3)
    revoked = token(revoked_at=used, revoked_by="root", kind="of-a-later-version")
    table = token_table([token(), token(expires_at=ends, last_used_at=used), revoked], NOON)
    start = ["t1", "laptop", "ana", "shop", "person", "viewer, of-a-later-version"]
    rows = [[cell.text for cell in row] for row in table.rows]
    assert rows[0] == [*start, "never", "never", "admin"]
    assert rows[1] == [*start, "3 h ago", "in 5 d", "admin"]
    assert rows[2][7] == "revoked 3 h ago by root"
    assert table.rows[1][7].style == "red"


def test_a_change_of_rights_says_what_is_asked_by_whom_and_until_when() -> None:
    fields = {
        "id": "c1",
        "act": "rotate",
        "subject": "dave",
        "roles": ["admin"],
        "token_id": "t1",
        "asked_by": "alice",
    }
    waiting = {"state": "waiting", "created_at": NOON, "expires_at": NOON + timedelta(days=2, hours=1)}
    done = {**waiting, "state": "done", "decided_by": "bob"}
    table = change_table([RightsChangeView.model_validate(fields | rest) for rest in (waiting, done)], NOON)
    start = ["c1", "rotate t1", "dave", "admin", "alice"]
    assert [cell.text for cell in table.rows[0]] == [*start, "waiting", "-", "in 2 d"]
    assert [cell.text for cell in table.rows[1]] == [*start, "done", "bob", "-"]
