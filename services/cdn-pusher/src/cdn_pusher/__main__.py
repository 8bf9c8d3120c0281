from cdn_pusher.app import create_app
from cdn_pusher.settings import Settings
from certkit.service import run
from certkit.settings import load_settings

if __name__ == "__main__":
    settings = load_settings(Settings)
    app = create_app(settings)
    run(app, settings.http, gave_up=app.gave_up)
