-- Sums over dossiers and surveys, of which several facts may tell: see sinks/clickhouse/checkpoints.py. A row with mark 1 says that a block
-- is there, and of which version of the topics; it stands in the same part as its sums.
CREATE TABLE IF NOT EXISTS $database.tally_ended (
    mark UInt8,
    level UInt8,
    block UInt32,
    handling_unit LowCardinality(String),
    receiving_unit LowCardinality(String),
    month LowCardinality(String),
    field LowCardinality(String),
    submission_channel LowCardinality(String),
    ended Int64 CODEC(T64, ZSTD),
    partitions Array(UInt16) CODEC(ZSTD),
    offsets Array(UInt64) CODEC(ZSTD),
    more_partitions Array(UInt16) CODEC(ZSTD),
    more_offsets Array(UInt64) CODEC(ZSTD)
) ENGINE = $engine ORDER BY (mark, level, block, handling_unit, month) SETTINGS $settings;

CREATE TABLE IF NOT EXISTS $database.tally_asked (
    mark UInt8,
    level UInt8,
    block UInt32,
    handling_unit LowCardinality(String),
    receiving_unit LowCardinality(String),
    month LowCardinality(String),
    field LowCardinality(String),
    submission_channel LowCardinality(String),
    asked Int64 CODEC(T64, ZSTD),
    reached Int64 CODEC(T64, ZSTD),
    partitions Array(UInt16) CODEC(ZSTD),
    offsets Array(UInt64) CODEC(ZSTD),
    more_partitions Array(UInt16) CODEC(ZSTD),
    more_offsets Array(UInt64) CODEC(ZSTD)
) ENGINE = $engine ORDER BY (mark, level, block, handling_unit, month) SETTINGS $settings;

-- The same facts once more, sorted by dossier and by survey in small granules: a few thousand of them are found among a hundred million.
CREATE TABLE IF NOT EXISTS $database.dossier_act (
    dossier_key UInt64,
    act Int8,
    _partition UInt16,
    _offset UInt64,
    event UInt64,
    day Date32,
    ends Bool,
    handling_unit LowCardinality(String),
    receiving_unit LowCardinality(String),
    field LowCardinality(String),
    submission_channel LowCardinality(String)
) ENGINE = $engine ORDER BY (dossier_key, act) SETTINGS $settings, index_granularity = 256;

CREATE TABLE IF NOT EXISTS $database.invitation_step (
    survey_key UInt64,
    _partition UInt16,
    _offset UInt64,
    seen UInt8,
    handling_unit LowCardinality(String),
    receiving_unit LowCardinality(String),
    month LowCardinality(String),
    field LowCardinality(String),
    submission_channel LowCardinality(String)
) ENGINE = $engine ORDER BY survey_key SETTINGS $settings, index_granularity = 256;
