"""The account at a CA: one for all hosts that share the journal."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from issuer.domain.account import AccountRecord
from tests.integration.issuer.test_journal import journals, on_disk

pytestmark = pytest.mark.integration

RECORD = AccountRecord("a-ca", "https://ca.test/dir", "a thumbprint", b"sealed")
PLACE = (RECORD.ca, RECORD.directory_url)


async def test_an_account_is_kept_by_its_directory_with_its_key_before_it_has_a_url(tmp_path: Path) -> None:
    async with journals(tmp_path, "one") as (journal,):
        assert await journal.account(*PLACE) is None
        assert await journal.keep_account(RECORD) == RECORD
        assert await journal.account(*PLACE) == RECORD
        await journal.set_account_url(*PLACE, "https://ca.test/account/1")
        assert await journal.account(*PLACE) == replace(RECORD, url="https://ca.test/account/1")
        assert await journal.account("a-ca", "https://ca.test/staging") is None


async def test_of_two_hosts_that_make_an_account_both_go_on_with_that_of_the_first(tmp_path: Path) -> None:
    async with journals(tmp_path, "one", "two") as (one, two):
        mine, other = await asyncio.gather(
            one.keep_account(RECORD),
            two.keep_account(replace(RECORD, key_thumbprint="another", sealed_key=b"another")),
        )
        assert mine == other
        assert await one.keep_account(replace(RECORD, key_thumbprint="a third")) == mine


async def test_a_url_without_a_key_gets_the_key_and_stays(tmp_path: Path) -> None:
    async with journals(tmp_path, "one") as (journal,):
        row = (*PLACE, "https://ca.test/account/1")
        on_disk(tmp_path, "INSERT INTO acme_account (ca, directory_url, url) VALUES (?, ?, ?)", *row)
        assert await journal.account(*PLACE) is None
        kept = replace(RECORD, url="https://ca.test/account/1")
        assert await journal.keep_account(RECORD) == kept
        assert await journal.keep_account(replace(RECORD, key_thumbprint="another")) == kept
