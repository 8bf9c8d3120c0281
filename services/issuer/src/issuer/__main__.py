from certkit.service import run
from certkit.settings import load_settings
from issuer.app import create_app
from issuer.settings import Settings


def main() -> None:
    settings = load_settings(Settings)
    app = create_app(settings)
    run(app, settings.http, gave_up=app.gave_up)


if __name__ == "__main__":
    main()
