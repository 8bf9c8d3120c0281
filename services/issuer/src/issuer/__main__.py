import sys

from certkit.service import run
from certkit.settings import load_settings
from issuer.app import create_app
from issuer.rehearse import main as rehearse
from issuer.settings import Settings


def main() -> None:
    if sys.argv[1:2] == ["test"]:
        sys.exit(rehearse(sys.argv[2:]))
    settings = load_settings(Settings)
    app = create_app(settings)
    run(app, settings.http, gave_up=app.gave_up)


if __name__ == "__main__":
    main()
