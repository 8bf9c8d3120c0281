from certkit.service import run
from certkit.settings import load_settings
from monitor.app import create_app
from monitor.settings import Settings

if __name__ == "__main__":
    settings = load_settings(Settings)
    app = create_app(settings)
    run(app, settings.http, gave_up=app.gave_up)
