"""ClickHouse: the answers to questions. Everything here can be made again from the log. The only place that imports clickhouse_connect."""
