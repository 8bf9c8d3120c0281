"""An ACME server (RFC 8555, 9773) for tests: right by default, and wrong in exactly the ways that a test tells it.

`server.acme_ca` starts one, `server.plain_ca` one without TLS. `script` holds rules that break single answers (`acts`
has what they do), `conduct` how orders for a name fare. `calls` is all that was asked, in order.
"""
