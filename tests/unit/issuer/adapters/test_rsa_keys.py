"""RSA keys made ahead: each is used once, and never more lie ready than were asked for."""

import asyncio
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from issuer.adapters.rsa_keys import RsaKeys
from issuer.domain.key_material import make_key_material
from tests.patience import HANG_S
from tests.unit.issuer.samples import order

BITS = 2048


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_S):
        while not condition():  # noqa: ASYNC110 # another thread makes them
            await asyncio.sleep(0.01)


async def test_no_key_is_given_out_twice() -> None:
    async with RsaKeys(ahead=2) as keys:
        taken = [await asyncio.to_thread(keys.take, BITS)]
        await until(lambda: keys.ready(BITS) == 2)
        taken += await asyncio.gather(*(asyncio.to_thread(keys.take, BITS) for _ in range(4)))
    assert len({key.private_numbers().d for key in taken}) == 5
    assert {key.key_size for key in taken} == {BITS}


async def test_only_what_is_asked_for_is_made_ahead_and_no_more_than_that() -> None:
    async with RsaKeys(ahead=2) as keys:
        assert keys.ready(BITS) == 0
        await asyncio.gather(*(asyncio.to_thread(keys.take, BITS) for _ in range(3)))
        await until(lambda: keys.ready(BITS) == 2)
        keys.take(BITS)
        assert keys.ready(BITS) <= 2
        assert keys.ready(3072) == 0


async def test_none_is_kept_after_the_end_or_where_none_is_wanted() -> None:
    async with RsaKeys(ahead=0) as none:
        assert none.take(BITS).key_size == BITS
        assert none.ready(BITS) == 0
    async with RsaKeys(ahead=1) as keys:
        keys.take(BITS)
        await until(lambda: keys.ready(BITS) == 1)
    assert keys.ready(BITS) == 0


async def test_an_order_for_an_rsa_key_takes_one_that_is_ready() -> None:
    async with RsaKeys(ahead=1) as keys:
        keys.take(BITS)
        await until(lambda: keys.ready(BITS) == 1)
        asked: list[int] = []

        def take(bits: int) -> RSAPrivateKey:
            asked.append(keys.ready(bits))
            return keys.take(bits)

        make_key_material(order(key_algorithm="rsa-2048"), escrow_public_key=None, rsa_key=take)
        assert asked == [1]
