"""The page that the registry serves: router, templates and assets."""
