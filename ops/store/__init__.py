"""The store: one process that owns a chDB folder and answers ClickHouse's HTTP protocol, so that every other process,
curl and a BI tool use it exactly as a ClickHouse server.

    python -m ops.store --data DIR --port N [--host 127.0.0.1] [--memory-bytes N] [--password-file FILE]

One line on stdout when it is ready. Exit codes: 0 stopped by SIGTERM or SIGINT; 1 the engine broke (start it again, what was
acknowledged is there); 2 it cannot start, and a sentence on stderr says what, why, and what to do.

Supported
- GET (reads only) and POST, /ping, /replicas_status; the query in the URL, the body, or both (`curl -d` too); multipart forms;
  external data (sent as temporary tables); `param_x` binds; engine settings in the URL; `database`, `default_format`, `query_id`
  (one at a time), `wait_end_of_query`, `readonly`; HEAD and GET / answer "Ok.".
- Every output format of the engine, streamed: Native block by block, the others as the engine writes them.
- INSERT … FORMAT, … VALUES, … SELECT, … SELECT … FROM input(…); data is passed on in pieces of
  a megabyte (through a table in memory for input()).
- Sessions: `session_id`, `session_timeout`, `session_check`, temporary tables, SET and USE that last; parallel use is code 373.
- Bodies in gzip, deflate, zstd, lz4, both ways (`Accept-Encoding` counts with `enable_http_compression=1`);
  `decompress=1` (native framing; its checksums are not verified).
- Errors with ClickHouse's codes and HTTP statuses; after the first byte of a result as `__exception__` blocks with
  `X-ClickHouse-Exception-Tag`, and the connection ends without the last chunk, so that nobody takes half a result for a whole.
- A client that leaves ends its reading query (`cancel_http_readonly_queries_on_client_close`); KILL QUERY by the client's query_id.
- Durable inserts: fsync_after_insert and fsync_part_directory are on for every MergeTree table. Deduplication by token needs
  `non_replicated_deduplication_window` on the table, as on a server.
- Overload: 503 with Retry-After, code 202.

Not supported
- `compress=1` (native framing of answers; code 48), brotli, TLS, JWT, proxies, users, roles, row policies, quotas, `/play`.
  With --password-file there is one password and any user name.
- `client_protocol_version`: Native is always sent in the form of version 0, which clients must accept; in it a column of type
  DateTime('zone') arrives without its zone (DateTime64 keeps it).
- Reading and writing the machine's files by SQL (file(), INTO OUTFILE, FROM INFILE): refused.
- system.query_log and the other log tables do not exist; `X-ClickHouse-Progress` headers are not sent.
- Custom settings (prefix SQL_): unknown, code 115.
- The database `default` is of engine Overlay, not Atomic, and must never be dropped: CREATE DATABASE before you create tables.
- SHOW CREATE TABLE of system tables.
"""
