"""The JSON API of the registry: one router a topic, problem documents for everything that is refused."""
