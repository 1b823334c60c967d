"""The language and the rules of hailong: events, settings, ports, the domain. No I/O here."""
