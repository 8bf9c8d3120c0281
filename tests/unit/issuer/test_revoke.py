"""How the command is called."""

import pytest

from issuer.revoke import main

REASON = ("--reason", "superseded")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("x.pem", "--reason", "cACompromise"), "is no reason that may be given, but: unspecified (0), keyComp"),
        (("x.pem",), "--reason"),
        (REASON, "name CERTIFICATE.pem, or --certificate and --revision"),
        (("--certificate", "a", *REASON), "--certificate and --revision go together"),
        (("x.pem", "--certificate", "a", "--revision", "1", *REASON), "name CERTIFICATE.pem, or"),
        (("--certificate", "a", "--revision", "newest", *REASON), "--revision"),
    ],
)
def test_wrong_usage_ends_with_2_before_anything_is_read(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], word: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert word in " ".join(capsys.readouterr().err.split())
