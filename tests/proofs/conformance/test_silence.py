"""A CA that takes questions and answers none: about one order, or at all."""

import pytest

from tests.acme_ca import acts
from tests.acme_ca.calls import Endpoint
from tests.proofs.conformance.stage import Stage

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


async def test_an_order_that_stays_unanswered_is_replaced_when_patience_ends(stage: Stage) -> None:
    stage.conduct(signing_looks=1)
    silent = stage.ca.script.add(
        acts.silence(),
        Endpoint.ORDER,
        name=stage.name,
        times=None,
        when=lambda call: call.order in {order.id for order in stage.orders[:1]},
    )
    await stage.order()
    await stage.issued()
    assert silent.hits > 1
    assert len(stage.orders) == 2


async def test_a_finalize_is_never_repeated_elsewhere_while_the_whole_ca_is_silent(stage: Stage) -> None:
    stage.conduct(signing_looks=1)
    silent = stage.ca.script.add(acts.silence(), times=None, when=lambda _: bool(stage.finalized))
    await stage.order()
    # Longer than patience: each look lasts as long as an answer is waited for.
    await stage.until(lambda: silent.hits >= 4, what="it looked several times")
    assert len(stage.orders) == 1
    stage.ca.script.remove(silent)
    await stage.issued()
    assert len(stage.orders) == len(stage.finalized) == 1
    assert stage.count(Endpoint.FINALIZE) == 1
