from certkit.service import run
from certkit.settings import load_settings
from monitor.app import create_app
from monitor.settings import Settings

if __name__ == "__main__":
    settings = load_settings(Settings)
    run(create_app(settings), settings.http)
