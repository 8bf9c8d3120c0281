from certkit.service import run
from certkit.settings import load_settings
from syncer.app import create_app
from syncer.settings import SyncerSettings


def main() -> None:
    settings = load_settings(SyncerSettings)
    app = create_app(settings)
    run(app, settings.http, gave_up=app.gave_up)


if __name__ == "__main__":
    main()
