from certbus.request_views import next_step, request_facts, request_line, request_table
from certcore.api import RequestState
from tests.unit.certbus.samples import NOON, request


def test_a_waiting_request_says_why_and_what_to_do() -> None:
    assert request_line(request()) == "request r-1 for shop: waiting (public names need an approval)"
    assert "request approve r-1" in next_step(request())
    assert "cert show shop" in next_step(request(RequestState.APPROVED))


def test_a_request_is_a_row() -> None:
    (row,) = request_table([request()], NOON).rows
    assert [cell.text for cell in row] == [
        "r-1",
        "shop",
        "waiting",
        "public",
        "team-shop",
        "ana",
        "3 h ago",
        "public names need an approval",
    ]


def test_the_facts_hold_everything_that_an_approver_decides_on() -> None:
    facts = request_facts(request(RequestState.DENIED), NOON)
    assert ("decided by", "ben, 2026-03-01T10:00:00Z (2 h ago)") in facts
    assert ("dns names", "shop.example.org") in facts
    assert ("target", "files:name=web,site=site1") in facts
    assert ("target", "kubernetes:name=pods,site=site2,namespaces=web+shop,secret=shop-tls") in facts
    assert ("endpoint", "https://shop.example.org proves web") in facts
