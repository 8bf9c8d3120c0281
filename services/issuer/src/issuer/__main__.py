import os
import sys

from certcore.errors import SealingError
from certkit.service import run
from certkit.settings import load_settings
from issuer.adapters.escrow_key import escrow_key
from issuer.app import create_app
from issuer.escrow_app import create_escrow
from issuer.escrow_settings import EscrowKeySettings, EscrowSettings
from issuer.foresee import main as foresee
from issuer.rehearse import main as rehearse
from issuer.revoke import main as revoke
from issuer.settings import Settings
from issuer.usage import USAGE, is_configured


def main() -> None:
    match sys.argv[1:]:
        case []:
            if not is_configured(os.environ):
                # What the service lacks is printed below it, setting by setting.
                print(USAGE, end="\n\n", file=sys.stderr)  # noqa: T201 # logging isn't set up yet
            _issue()
        case ["-h" | "--help" | "help"]:
            print(USAGE)  # noqa: T201 # it is what was asked for
        case ["test", *arguments]:
            sys.exit(rehearse(arguments))
        case ["forecast", *arguments]:
            sys.exit(foresee(arguments))
        case ["revoke", *arguments]:
            sys.exit(revoke(arguments))
        case ["escrow"]:
            _keep_escrow()
        case ["escrow", "init"]:
            _print_escrow_public_key()
        case _:
            print(USAGE, file=sys.stderr)  # noqa: T201 # as above
            sys.exit(2)


def _issue() -> None:
    settings = load_settings(Settings)
    app = create_app(settings)
    run(app, settings.http, gave_up=app.gave_up)


def _keep_escrow() -> None:
    settings = load_settings(EscrowSettings)
    try:
        app = create_escrow(settings)
    except SealingError as error:
        sys.exit(str(error))
    run(app, settings.http, gave_up=app.gave_up)


def _print_escrow_public_key() -> None:
    try:
        key = escrow_key(load_settings(EscrowKeySettings).state_folder)
    except SealingError as error:
        sys.exit(str(error))
    print(key.public_key)  # noqa: T201 # it is what was asked for


if __name__ == "__main__":
    main()
