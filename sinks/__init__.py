"""Where facts stay: the ledger (SQL) and ClickHouse."""
