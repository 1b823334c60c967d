-- The draw that can be made again, the weight of an answer, which provider carried a channel.

ALTER TABLE $database.decided
    ADD COLUMN IF NOT EXISTS seed_day Nullable(Date32),
    ADD COLUMN IF NOT EXISTS arms String CODEC(ZSTD),
    ADD COLUMN IF NOT EXISTS weight UInt16 DEFAULT 1;

ALTER TABLE $database.delivery ADD COLUMN IF NOT EXISTS weight UInt16 DEFAULT 1;

ALTER TABLE $database.counted ADD COLUMN IF NOT EXISTS weight UInt16 DEFAULT 1;

CREATE TABLE IF NOT EXISTS $database.seed (
    _topic LowCardinality(String),
    _partition UInt16,
    _offset UInt64 CODEC(Delta, ZSTD),
    event_id String CODEC(ZSTD),
    day Date32,
    commitment String CODEC(ZSTD),
    seed String CODEC(ZSTD)
) ENGINE = $engine ORDER BY (day, _offset) SETTINGS $settings;

CREATE TABLE IF NOT EXISTS $database.provider (
    _topic LowCardinality(String),
    _partition UInt16,
    _offset UInt64 CODEC(Delta, ZSTD),
    event_id String CODEC(ZSTD),
    channel LowCardinality(String),
    provider LowCardinality(String),
    before LowCardinality(String),
    version UInt32,
    reason String CODEC(ZSTD),
    by LowCardinality(String),
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD)
) ENGINE = $engine ORDER BY (channel, version, _offset) SETTINGS $settings;
