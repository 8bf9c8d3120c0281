"""Nothing is issued for a key that others know, whether it was offered or made here."""

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from certcore.inspection import spki_sha256
from issuer.domain.blocked_keys import parse_blocked
from issuer.domain.errors import UnsupportedIssueOrderError
from issuer.domain.key_material import make_key_material
from tests.signing_requests import csr_pem
from tests.unit.issuer.samples import order
from tests.unit.issuer.test_settings import settings

KNOWN = hashlib.sha256(b"a key that others know").hexdigest()


def test_a_list_has_one_key_a_line_and_comments() -> None:
    colons = ":".join(KNOWN[at : at + 2] for at in range(0, 64, 2)).upper()
    assert parse_blocked(f"# leaked in May\n\n{KNOWN}  # by whom\r\n") == {KNOWN}
    assert parse_blocked(colons) == {KNOWN}
    assert parse_blocked("") == frozenset()


@pytest.mark.parametrize("line", ["abc", KNOWN[:-1], f"{KNOWN}0", f"{KNOWN} {KNOWN}", "z" * 64])
def test_a_line_that_is_no_key_is_told_by_its_number_and_not_quoted(line: str) -> None:
    with pytest.raises(ValueError, match="line 2 is no SHA-256") as told:
        parse_blocked(f"{KNOWN}\n{line}\n")
    assert line not in str(told.value)


def test_a_list_that_can_t_be_read_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "blocked"
    with pytest.raises(ValidationError, match="can't be read"):
        settings(blocked_keys_file=path)
    path.write_text("nonsense")
    with pytest.raises(ValidationError, match="line 1 is no SHA-256"):
        settings(blocked_keys_file=path)
    path.write_text(KNOWN)
    assert settings(blocked_keys_file=path).blocked_keys() == {KNOWN}
    assert settings().blocked_keys() == frozenset()


def test_a_blocked_key_is_not_signed_by_its_request() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = csr_pem("shop.example.org", key=key, common_name="shop.example.org")
    asked = order(variant="box", csr_pem=request)
    blocked = {spki_sha256(key.public_key())}
    assert make_key_material(asked, escrow_public_key=None, blocked={KNOWN}).spki_sha256 in blocked
    with pytest.raises(UnsupportedIssueOrderError, match="is blocked"):
        make_key_material(asked, escrow_public_key=None, blocked=blocked)


def test_a_blocked_key_is_not_used_where_it_is_made_here() -> None:
    class Every:
        """As if there were nothing but keys that others know."""

        def __contains__(self, _: object) -> bool:
            return True

    with pytest.raises(UnsupportedIssueOrderError, match="is blocked"):
        make_key_material(order(), escrow_public_key=None, blocked=Every())
