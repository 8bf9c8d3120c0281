"""An owner that asks as much as it can delays nobody else."""

import asyncio
import time

import pytest
from nats.js.errors import APIError

from certkit.background import end_tasks
from tests.integration.registry.bodies import a_body, encoded
from tests.integration.registry.bus import Bus

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]


async def test_another_owner_s_request_is_answered_within_10_s(bus: Bus) -> None:
    refused = asyncio.Event()

    async def flood() -> None:
        while True:
            try:
                await bus.ask(encoded(a_body()), owner="treasury")
            except APIError as error:
                assert error.description == "maximum messages per subject exceeded"  # noqa: PT017 # it goes on
                refused.set()

    floods = [asyncio.create_task(flood()) for _ in range(20)]
    try:
        async with asyncio.timeout(60):
            await refused.wait()
        began = time.monotonic()
        answer = await bus.asked(encoded(a_body()))
        took = time.monotonic() - began
        assert not any(task.done() for task in floods)
    finally:
        await end_tasks(floods)

    assert answer.accepted
    assert took < 10.0
