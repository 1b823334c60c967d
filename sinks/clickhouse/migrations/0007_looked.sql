-- Looks at the quality of data, and what an alert about it stands on.

ALTER TABLE $database.alert
    ADD COLUMN IF NOT EXISTS doubt String CODEC(ZSTD);

CREATE TABLE IF NOT EXISTS $database.looked (
    _topic LowCardinality(String),
    _partition UInt16,
    _offset UInt64 CODEC(Delta, ZSTD),
    event_id String CODEC(ZSTD),
    day Date32,
    at DateTime64(6, 'UTC'),
    version String CODEC(ZSTD),
    judged String CODEC(ZSTD),
    standing String CODEC(ZSTD),
    quiet String CODEC(ZSTD),
    quiet_from Date32,
    quiet_part Float64
) ENGINE = $engine ORDER BY (day, _offset) SETTINGS $settings;
