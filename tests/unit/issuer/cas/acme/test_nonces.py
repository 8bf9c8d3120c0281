import pytest

from issuer.cas.acme.nonces import NoncePool


def test_the_newest_nonce_is_taken_first_and_none_twice() -> None:
    pool = NoncePool()
    for nonce in ("old", "newer", "newest"):
        pool.keep(nonce)
    assert [pool.take() for _ in range(4)] == ["newest", "newer", "old", None]


def test_of_too_many_the_oldest_are_forgotten() -> None:
    pool = NoncePool(most=2)
    for nonce in ("a", "b", "c"):
        pool.keep(nonce)
    assert (len(pool), pool.take(), pool.take()) == (2, "c", "b")


@pytest.mark.parametrize("nonce", [None, "", "with space", "ümlaut", "a=", "x" * 600])
def test_what_no_jws_can_carry_is_no_nonce(nonce: str | None) -> None:
    pool = NoncePool()
    pool.keep(nonce)
    assert pool.take() is None
