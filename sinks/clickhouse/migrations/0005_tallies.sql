-- Sums of counted records over whole blocks of their numbers: level 0 of 65,536 records, each further level of 16 blocks of the one below.
-- A figure at any version is a few blocks and what is newer than the last of them. Sums can be taken back (an erased answer counts -1),
-- so every measure is signed.
CREATE TABLE IF NOT EXISTS $database.tally (
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
) ENGINE = $engine ORDER BY (level, block, field, handling_unit, month) SETTINGS $settings;

-- The same of the questions after the first: how often each option was chosen.
CREATE TABLE IF NOT EXISTS $database.tally_detail (
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
) ENGINE = $engine ORDER BY (level, block, question, field, handling_unit, month) SETTINGS $settings;

-- Both once more without field, channel and mode: a hundredth of the rows, for whoever asks for none of them.
CREATE TABLE IF NOT EXISTS $database.tally_whole (
    level UInt8,
    block UInt32,
    handling_unit LowCardinality(String),
    receiving_unit LowCardinality(String),
    month LowCardinality(String),
    place LowCardinality(String),
    one Int64 CODEC(T64, ZSTD),
    two Int64 CODEC(T64, ZSTD),
    three Int64 CODEC(T64, ZSTD),
    four Int64 CODEC(T64, ZSTD),
    five Int64 CODEC(T64, ZSTD),
    none Int64 CODEC(T64, ZSTD),
    revised Int64 CODEC(T64, ZSTD),
    held Int64 CODEC(T64, ZSTD)
) ENGINE = $engine ORDER BY (level, block, handling_unit, month) SETTINGS $settings;

CREATE TABLE IF NOT EXISTS $database.tally_detail_whole (
    level UInt8,
    block UInt32,
    handling_unit LowCardinality(String),
    receiving_unit LowCardinality(String),
    month LowCardinality(String),
    place LowCardinality(String),
    question LowCardinality(String),
    said LowCardinality(String),
    times Int64 CODEC(T64, ZSTD)
) ENGINE = $engine ORDER BY (level, block, question, handling_unit, month) SETTINGS $settings;
