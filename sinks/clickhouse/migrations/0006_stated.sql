-- What people enter from elsewhere. A few rows a unit and month: sorted by what they are about, the newest found by its seq.

CREATE TABLE IF NOT EXISTS $database.total (
    _topic LowCardinality(String),
    _partition UInt16,
    _offset UInt64 CODEC(Delta, ZSTD),
    event_id String CODEC(ZSTD),
    unit String,
    month LowCardinality(String),
    received UInt64,
    ended UInt64,
    overdue UInt64,
    petitions UInt64,
    dislikes UInt64,
    source String CODEC(ZSTD),
    seq UInt64
) ENGINE = $engine ORDER BY (unit, month, seq, _offset) SETTINGS $settings;

CREATE TABLE IF NOT EXISTS $database.reference (
    _topic LowCardinality(String),
    _partition UInt16,
    _offset UInt64 CODEC(Delta, ZSTD),
    event_id String CODEC(ZSTD),
    series LowCardinality(String),
    unit String,
    period LowCardinality(String),
    value Float64,
    scale LowCardinality(String),
    n Nullable(UInt64),
    source String CODEC(ZSTD),
    seq UInt64
) ENGINE = $engine ORDER BY (series, unit, period, seq, _offset) SETTINGS $settings;

CREATE TABLE IF NOT EXISTS $database.procedure (
    _topic LowCardinality(String),
    _partition UInt16,
    _offset UInt64 CODEC(Delta, ZSTD),
    event_id String CODEC(ZSTD),
    code String,
    name String CODEC(ZSTD),
    field LowCardinality(String),
    level LowCardinality(String),
    sensitive Bool,
    valid_from Date32,
    valid_to Nullable(Date32),
    source String CODEC(ZSTD),
    seq UInt64
) ENGINE = $engine ORDER BY (code, valid_from, seq, _offset) SETTINGS $settings;

CREATE TABLE IF NOT EXISTS $database.earlier (
    _topic LowCardinality(String),
    _partition UInt16,
    _offset UInt64 CODEC(Delta, ZSTD),
    event_id String CODEC(ZSTD),
    series LowCardinality(String),
    unit String,
    month LowCardinality(String),
    question LowCardinality(String),
    value LowCardinality(String),
    place UInt8,
    places UInt8,
    satisfied_from UInt8,
    n UInt64 CODEC(T64, ZSTD),
    source String CODEC(ZSTD),
    seq UInt64
) ENGINE = $engine ORDER BY (series, question, unit, month, value, seq, _offset) SETTINGS $settings;
