import pytest

from cdn_pusher.domain.earlier_file import EarlierFile, obstacle, payload
from cdn_pusher.domain.pem import read_pem
from tests.authority import Authority

AUTHORITY = Authority()
NAMES = ("shop.example.org", "www.example.org")


def written(*names: str) -> bytes:
    issued = AUTHORITY.issue(*names)
    return (issued.chain_pem + issued.key_pem).encode()


@pytest.mark.parametrize(
    ("earlier", "problem"),
    [
        (EarlierFile(None), None),
        (EarlierFile(written(*NAMES)), None),
        (EarlierFile(written("shop.example.org")), None),
        (EarlierFile(written(*NAMES, "old.example.org")), "serves old.example.org, which this certificate does not"),
        (EarlierFile(written("*.example.org")), "serves *.example.org, which"),
        (EarlierFile(AUTHORITY.issue(*NAMES).chain_pem.encode()), "could not be put back"),
        (EarlierFile(b"# nothing yet\n"), "could not be put back"),
        (EarlierFile(None, ("shop.pem.key",)), "shop.pem.key lies beside it"),
        (EarlierFile(written(*NAMES), ("shop.pem.ocsp", "shop.pem.sctl")), "shop.pem.ocsp, shop.pem.sctl lies"),
    ],
    ids=["none", "same names", "fewer", "more", "wildcard", "no key", "no certificate", "key beside", "more beside"],
)
def test_what_is_not_ours_is_replaced_only_where_nothing_is_lost(earlier: EarlierFile, problem: str | None) -> None:
    found = obstacle(earlier, ours=False, dns_names=NAMES)
    assert (problem is None) == (found is None)
    assert (problem or "") in (found or "")
    # What people approved for our own certificate counts, also where that is less; what is broken is mended.
    assert obstacle(earlier, ours=True, dns_names=NAMES) is None


def test_a_wildcard_of_the_new_one_covers_names_of_the_old_one() -> None:
    earlier = EarlierFile(written("shop.example.org"))
    assert obstacle(earlier, ours=False, dns_names=("*.example.org",)) is None
    deeper = EarlierFile(written("a.shop.example.org"))
    assert obstacle(deeper, ours=False, dns_names=("*.example.org",)) is not None


def test_many_lost_names_are_not_all_told() -> None:
    earlier = EarlierFile(written(*(f"n{number}.example.org" for number in range(9))))
    assert "and 4 more, which" in (obstacle(earlier, ours=False, dns_names=NAMES) or "")


def test_a_payload_holds_the_same_without_what_would_end_it() -> None:
    content = written(*NAMES)
    messy = b"# by hand\r\n\r\n" + content.replace(b"\n", b"\r\n\r\n") + b"   \n"
    assert payload(messy) == b"# by hand\n" + content
    assert read_pem(payload(messy)).content == content


def test_the_content_is_in_no_repr() -> None:
    assert "PRIVATE" not in repr(EarlierFile(written(*NAMES)))
