"""What `python -m issuer` can be asked for, and what each of it needs."""

from collections.abc import Mapping
from typing import Final

from certkit.settings import SourcedSettings
from issuer.settings import Settings

__all__ = ["USAGE", "is_configured"]

USAGE: Final = """\
usage: python -m issuer [COMMAND]

                        the service; needs the issuer's settings, the bus and the registry
  test NAME             prove the settings for a name; needs the issuer's settings, DNS and the CA
  forecast NAMES…       when orders could go under the CAs' limits; needs the issuer's settings, and reads its journal
  revoke CERTIFICATE    have a CA revoke; needs the issuer's settings, its journal and journal key, and the CA
  escrow                the service that seals keys again; needs the escrow's settings and the registry
  escrow init           make the escrow's key, print its public half; needs CERTBUS_ESCROW_STATE_FOLDER

The issuer's settings are variables CERTBUS_ISSUER_…, the escrow's CERTBUS_ESCROW_…; either can be in the TOML file
that CERTBUS_CONFIG_FILE names. `-h` after test, forecast and revoke tells more."""


def is_configured(environment: Mapping[str, str]) -> bool:
    """Whether anybody meant to start the service here."""
    prefix = Settings.model_config.get("env_prefix", "")
    return SourcedSettings.CONFIG_FILE in environment or any(name.startswith(prefix) for name in environment)
