from certkit.service import run
from certkit.settings import load_settings
from registry.app import create_app
from registry.settings import Settings

if __name__ == "__main__":
    settings = load_settings(Settings)
    app = create_app(settings)
    run(app, settings.http, leave=app.state.leave, gave_up=app.state.gave_up)
