"""The company's provider: what it publishes, and the exchange of a code for an ID token (OpenID Connect Core 1.0)."""
