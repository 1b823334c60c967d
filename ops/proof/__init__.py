"""Proofs: break the running system on purpose and check its promises from independent evidence."""
