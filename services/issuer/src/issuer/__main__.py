from certkit.service import run
from certkit.settings import load_settings
from issuer.app import create_app
from issuer.settings import Settings


def main() -> None:
    settings = load_settings(Settings)
    run(create_app(settings), settings.http)


if __name__ == "__main__":
    main()
