from cdn_pusher.app import create_app
from cdn_pusher.settings import Settings
from certkit.service import run
from certkit.settings import load_settings

if __name__ == "__main__":
    settings = load_settings(Settings)
    run(create_app(settings), settings.http)
