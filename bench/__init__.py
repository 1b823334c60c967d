"""Benchmarks of hailong, each beside the limit or a peer in the same run, with CPU seconds. Nothing here is a test: no time is asserted."""
