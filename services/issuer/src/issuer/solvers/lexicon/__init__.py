"""dns-01 by the APIs of DNS services that dns-lexicon knows; an extra of this package, `certbus-issuer[lexicon]`."""
