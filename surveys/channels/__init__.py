"""Ways to people. Each module is one provider's adapter of ``hailong.ports.Channel`` and the only door to that provider's library."""
