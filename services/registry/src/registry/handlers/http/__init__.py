"""The registry over HTTP: one router a topic, problem documents for everything that is refused."""
