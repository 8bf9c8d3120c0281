import sys
from typing import Final

_USAGE: Final = """\
usage: python -m registry [COMMAND]

                        the service
  backup --to FOLDER    copy its database while it runs
  backup verify COPY    read all of a copy
  restore COPY          put a copy in the database's place

All read the registry's settings: variables CERTBUS_REGISTRY_…, or the TOML file that CERTBUS_CONFIG_FILE names.
`-h` after backup and restore tells more."""


def main() -> None:
    match sys.argv[1:]:
        case []:
            _serve()
        case ["-h" | "--help" | "help"]:
            print(_USAGE)  # noqa: T201 # it is what was asked for
        case ["backup", *arguments]:
            from registry.backup import backup  # noqa: PLC0415 # the service needs none of it

            sys.exit(backup(arguments))
        case ["restore", *arguments]:
            from registry.backup import restore  # noqa: PLC0415 # as above

            sys.exit(restore(arguments))
        case _:
            print(_USAGE, file=sys.stderr)  # noqa: T201 # logging isn't set up yet
            sys.exit(2)


def _serve() -> None:
    # The other commands need no framework of the web, which imports long.
    from certkit.service import run  # noqa: PLC0415
    from certkit.settings import load_settings  # noqa: PLC0415
    from registry.app import create_app  # noqa: PLC0415
    from registry.settings import Settings  # noqa: PLC0415

    settings = load_settings(Settings)
    app = create_app(settings)
    run(app, settings.http, leave=app.state.leave, gave_up=app.state.gave_up)


if __name__ == "__main__":
    main()
