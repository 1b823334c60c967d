-- Sums of counted records over whole blocks of their numbers: level 0 of 32,768 records, each further level of 4 blocks of the one below.
-- A figure at any version is a few blocks and what is newer than the last of them. Sums can be taken back (an erased answer counts -1),
-- so every measure is signed. A shape says which dimensions a row keeps; the others are empty in it.
CREATE TABLE IF NOT EXISTS $database.tally (
    shape LowCardinality(String),
    level UInt8,
    block UInt32,
    handling_unit LowCardinality(String),
    receiving_unit LowCardinality(String),
    month LowCardinality(String),
    field LowCardinality(String),
    submission_channel LowCardinality(String),
    mode LowCardinality(String),
    place LowCardinality(String),
    one Int64 CODEC(T64, ZSTD),
    two Int64 CODEC(T64, ZSTD),
    three Int64 CODEC(T64, ZSTD),
    four Int64 CODEC(T64, ZSTD),
    five Int64 CODEC(T64, ZSTD),
    none Int64 CODEC(T64, ZSTD),
    revised Int64 CODEC(T64, ZSTD),
    held Int64 CODEC(T64, ZSTD)
) ENGINE = $engine ORDER BY (shape, level, block, field, submission_channel, mode, handling_unit, month) SETTINGS $settings;

-- The same of the questions after the first: how often each option was chosen.
CREATE TABLE IF NOT EXISTS $database.tally_detail (
    shape LowCardinality(String),
    level UInt8,
    block UInt32,
    handling_unit LowCardinality(String),
    receiving_unit LowCardinality(String),
    month LowCardinality(String),
    field LowCardinality(String),
    submission_channel LowCardinality(String),
    mode LowCardinality(String),
    place LowCardinality(String),
    question LowCardinality(String),
    said LowCardinality(String),
    times Int64 CODEC(T64, ZSTD)
) ENGINE = $engine ORDER BY (shape, level, block, question, field, submission_channel, mode, handling_unit, month) SETTINGS $settings;

-- Sums of endings and of invitations over strides of their logs; a mark says at which version its stride ends.
CREATE TABLE IF NOT EXISTS $database.tally_ended (
    shape LowCardinality(String),
    level UInt8,
    block UInt32,
    handling_unit LowCardinality(String),
    receiving_unit LowCardinality(String),
    month LowCardinality(String),
    field LowCardinality(String),
    submission_channel LowCardinality(String),
    ended Int64 CODEC(T64, ZSTD),
    version Map(String, UInt64) CODEC(ZSTD)
) ENGINE = $engine ORDER BY (shape, level, block, field, submission_channel, handling_unit, month) SETTINGS $settings;

CREATE TABLE IF NOT EXISTS $database.tally_asked (
    shape LowCardinality(String),
    level UInt8,
    block UInt32,
    handling_unit LowCardinality(String),
    receiving_unit LowCardinality(String),
    month LowCardinality(String),
    field LowCardinality(String),
    submission_channel LowCardinality(String),
    asked Int64 CODEC(T64, ZSTD),
    reached Int64 CODEC(T64, ZSTD),
    version Map(String, UInt64) CODEC(ZSTD)
) ENGINE = $engine ORDER BY (shape, level, block, field, submission_channel, handling_unit, month) SETTINGS $settings;
