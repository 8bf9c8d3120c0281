"""The account's URL, read beside an issuer that may be running."""

from pathlib import Path

import pytest

from issuer.adapters.stored_account import stored_account_url
from issuer.domain.account import AccountRecord
from tests.integration.issuer.test_journal import journals

pytestmark = pytest.mark.integration

_DIRECTORY = "https://ca.test/dir"


async def test_the_url_is_that_of_the_cas_directory(tmp_path: Path) -> None:
    async with journals(tmp_path, "one") as (journal,):
        await journal.keep_account(AccountRecord("a-ca", _DIRECTORY, "thumbprint", b"sealed"))
        await journal.set_account_url("a-ca", _DIRECTORY, "https://ca.test/acct/1")

        url = f"sqlite:///{tmp_path / 'journal.db'}"
        assert stored_account_url(url, "a-ca", _DIRECTORY) == "https://ca.test/acct/1"
        assert stored_account_url(url, "a-ca", "https://other.test/dir") is None


def test_no_journal_is_made_where_there_is_none(tmp_path: Path) -> None:
    assert stored_account_url(f"sqlite:///{tmp_path / 'journal.db'}", "a-ca", _DIRECTORY) is None
    assert list(tmp_path.iterdir()) == []


def test_a_journal_of_an_earlier_version_tells_none(tmp_path: Path) -> None:
    (tmp_path / "journal.db").touch()
    assert stored_account_url(f"sqlite:///{tmp_path / 'journal.db'}", "a-ca", _DIRECTORY) is None
