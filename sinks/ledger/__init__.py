"""The ledger: what must be unique, what waits, what people work on. SQLite by default, PostgreSQL in a cluster.

``open_ledger`` gives a Ledger; ``migrate`` brings its schema up to date. Everything is written in short transactions
(BEGIN IMMEDIATE on SQLite: with the deferred default, writers that read first fail with "database is locked").
"""

from sinks.ledger.base import Tools
from sinks.ledger.engine import Ledger, Tx, Writer, migrate, open_ledger
from sinks.ledger.people import FactorSeal
from sinks.ledger.reading import LedgerReader
from sinks.ledger.vault import Vault, VaultError

__all__ = ["FactorSeal", "Ledger", "LedgerReader", "Tools", "Tx", "Vault", "VaultError", "Writer", "migrate", "open_ledger"]
