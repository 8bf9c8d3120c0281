from certcore.service import run
from certcore.settings import load_settings
from monitor.app import create_app
from monitor.settings import Settings

if __name__ == "__main__":
    settings = load_settings(Settings)
    run(create_app(settings), settings.http)
