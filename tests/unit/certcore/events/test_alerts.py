from itertools import product

from certcore.events import alert_id
from certcore.names import subject_token


def test_what_is_found_again_is_the_same_alert() -> None:
    assert alert_id(owner="shop", about="c-1", reason="expired") == alert_id(
        owner="shop", about="c-1", reason="expired"
    )


def test_another_owner_thing_or_reason_is_another_alert() -> None:
    ids = {
        alert_id(owner=owner, about=about, reason=reason)
        for owner, about, reason in product(["shop", "treasury"], ["c-1", "c-2"], ["expired", "unreachable"])
    }
    assert len(ids) == 8


def test_an_alert_s_id_is_stable_over_releases_and_fits_a_subject() -> None:
    found = alert_id(owner="shop", about="c-1", reason="expired")
    assert found == "8ad3a3d430f9eb5a8a3ea52fc0aec1aaeb1a743386b9935566fa8a9ec8e16cfe"
    assert subject_token(found)
