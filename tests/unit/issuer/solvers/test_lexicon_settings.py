"""What is told of a solver by dns-lexicon before it runs."""

import sys

import pytest

from issuer.installed_solvers import solver_faults

GIVEN = {
    "kind": "lexicon",
    "provider": "powerdns",
    "zones": ["example.org"],
    "options": {"pdns_server": "http://127.0.0.1:8081"},
    "option_files": {"auth_token": "/etc/certbus/powerdns.key"},
}


def faults(**fields: object) -> list[str]:
    told = solver_faults({"cloud": {**GIVEN, **fields}}, views=(), needed={})
    return [f"{'.'.join(fault.field)}: {fault.problem}" for fault in told]


def test_what_is_right_has_no_fault() -> None:
    assert faults() == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"options": {"auth_token": "abc"}}, "auth_token may be a secret: name its file in option_files instead"),
        ({"options": {"auth_secret_key": "abc"}}, "auth_secret_key may be a secret"),
        (
            {"options": {"pdns_servr": "x"}},
            "powerdns has no option pdns_servr: its are auth_token, pdns_disable_notify",
        ),
        (
            {"options": {"pdns_server": "x"}, "option_files": {"pdns_server": "/f"}},
            "pdns_server: give it in options or",
        ),
        ({"provider": "nosuch"}, "dns-lexicon has no provider nosuch"),
        ({"provider": "../x"}, "should match pattern"),
        ({"provider": "oci"}, "oci needs more than dns-lexicon brings: install dns-lexicon[oci]"),
        ({"zones": []}, "at least 1 item"),
    ],
)
def test_what_is_wrong_is_told_without_its_value(fields: dict[str, object], told: str) -> None:
    (fault,) = faults(**fields)
    assert fault.startswith("solvers.cloud")
    assert told in fault
    assert "abc" not in fault


def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lexicon._private.discovery", None)
    (fault,) = faults()
    assert fault.endswith("needs dns-lexicon, which isn't installed here: install certbus-issuer[lexicon]")
