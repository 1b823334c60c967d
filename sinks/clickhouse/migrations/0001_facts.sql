-- One table per topic of facts. An insert is one block of one (topic, partition); no PARTITION BY may split it, so it is there whole
-- or not at all. fsync: what was acknowledged survives a power cut. The window drops an insert that is repeated with its token.
-- $database, $engine and $settings come from the runner: MergeTree on a single server, ReplicatedMergeTree in a cluster.

-- Facts stand as they came: what is newer than the last sums (0008) is then a short end of each partition.
CREATE TABLE IF NOT EXISTS $database.closed (
    _topic LowCardinality(String),
    _partition UInt16,
    _offset UInt64 CODEC(Delta, ZSTD),
    event_id String CODEC(ZSTD),
    dossier_ref String CODEC(ZSTD),
    dossier_key UInt64 MATERIALIZED sipHash64(dossier_ref),
    source LowCardinality(String),
    outcome LowCardinality(String),
    status_code UInt8,
    procedure_code LowCardinality(String),
    procedure_code_national LowCardinality(String),
    field LowCardinality(String),
    service_level LowCardinality(String),
    receiving_unit LowCardinality(String),
    handling_unit LowCardinality(String),
    unit_level LowCardinality(String),
    submission_channel LowCardinality(String),
    result_channel LowCardinality(String),
    received_on Date32,
    due_on Nullable(Date32),
    ended_on Date32,
    heard_on Date32,
    supplement_count UInt16,
    supplement_days Float64,
    timeliness LowCardinality(String),
    fee_required Bool,
    paid_online Nullable(Bool),
    applicant_type LowCardinality(String),
    submitted_by LowCardinality(String)
) ENGINE = $engine ORDER BY (_partition, _offset) SETTINGS $settings;

CREATE TABLE IF NOT EXISTS $database.reopened (
    _topic LowCardinality(String),
    _partition UInt16,
    _offset UInt64 CODEC(Delta, ZSTD),
    event_id String CODEC(ZSTD),
    dossier_ref String CODEC(ZSTD),
    source LowCardinality(String),
    status_code UInt8,
    reopened_on Date32
) ENGINE = $engine ORDER BY (_partition, _offset) SETTINGS $settings;

CREATE TABLE IF NOT EXISTS $database.decided (
    _topic LowCardinality(String),
    _partition UInt16,
    _offset UInt64 CODEC(Delta, ZSTD),
    event_id String CODEC(ZSTD),
    dossier_ref String CODEC(ZSTD),
    asked Bool,
    reason LowCardinality(String),
    rules_version LowCardinality(String),
    draw Float64,
    decided_on Date32,
    inputs String CODEC(ZSTD)
) ENGINE = $engine ORDER BY (decided_on, reason, _partition, _offset) SETTINGS $settings;

CREATE TABLE IF NOT EXISTS $database.delivery (
    _topic LowCardinality(String),
    _partition UInt16,
    _offset UInt64 CODEC(Delta, ZSTD),
    event_id String CODEC(ZSTD),
    survey_id String CODEC(ZSTD),
    purpose LowCardinality(String),
    seq UInt16,
    state LowCardinality(String),
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    channel LowCardinality(String),
    provider LowCardinality(String),
    code LowCardinality(String),
    reason LowCardinality(String),
    segments UInt16,
    cost Int64,
    receiving_unit LowCardinality(String),
    handling_unit LowCardinality(String),
    field LowCardinality(String),
    submission_channel LowCardinality(String),
    ending LowCardinality(String),
    timeliness LowCardinality(String),
    month LowCardinality(String)
) ENGINE = $engine ORDER BY (_partition, _offset) SETTINGS $settings;

-- Sorted by their number: figures are sums over whole blocks of numbers (tally), and what is newer than the last block is read here.
CREATE TABLE IF NOT EXISTS $database.counted (
    _topic LowCardinality(String),
    _partition UInt16,
    _offset UInt64 CODEC(Delta, ZSTD),
    event_id String CODEC(ZSTD),
    seq UInt64 CODEC(Delta, ZSTD),
    kind LowCardinality(String),
    counted_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    survey_id String CODEC(ZSTD),
    revision UInt16,
    questionnaire LowCardinality(String),
    questionnaire_version UInt16,
    mode LowCardinality(String),
    language LowCardinality(String),
    score Nullable(UInt8),
    answers String CODEC(ZSTD),
    reason LowCardinality(String),
    receiving_unit LowCardinality(String),
    handling_unit LowCardinality(String),
    field LowCardinality(String),
    submission_channel LowCardinality(String),
    ending LowCardinality(String),
    timeliness LowCardinality(String),
    month LowCardinality(String),
    control String CODEC(ZSTD),
    INDEX of_offset _offset TYPE minmax GRANULARITY 1,
    INDEX of_moment counted_at TYPE minmax GRANULARITY 1,
    INDEX of_kind (kind, reason) TYPE set(32) GRANULARITY 1,
    INDEX of_survey survey_id TYPE bloom_filter(0.001) GRANULARITY 4
) ENGINE = $engine ORDER BY seq SETTINGS $settings;

CREATE TABLE IF NOT EXISTS $database.preference (
    _topic LowCardinality(String),
    _partition UInt16,
    _offset UInt64 CODEC(Delta, ZSTD),
    event_id String CODEC(ZSTD),
    contact_hash String CODEC(ZSTD),
    pepper_version UInt16,
    choice LowCardinality(String),
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    door LowCardinality(String)
) ENGINE = $engine ORDER BY (at, _partition, _offset) SETTINGS $settings;

CREATE TABLE IF NOT EXISTS $database.alert (
    _topic LowCardinality(String),
    _partition UInt16,
    _offset UInt64 CODEC(Delta, ZSTD),
    event_id String CODEC(ZSTD),
    alert_id String CODEC(ZSTD),
    version UInt32,
    state LowCardinality(String),
    kind LowCardinality(String),
    unit LowCardinality(String),
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    by LowCardinality(String),
    note String CODEC(ZSTD),
    evidence_seq UInt64,
    n UInt32,
    satisfied UInt32,
    target Float64,
    low Float64,
    high Float64,
    since Date32,
    until Date32,
    sentence_vi String CODEC(ZSTD),
    sentence_en String CODEC(ZSTD)
) ENGINE = $engine ORDER BY (unit, alert_id, version, _offset) SETTINGS $settings;

CREATE TABLE IF NOT EXISTS $database.case (
    _topic LowCardinality(String),
    _partition UInt16,
    _offset UInt64 CODEC(Delta, ZSTD),
    event_id String CODEC(ZSTD),
    case_id String CODEC(ZSTD),
    version UInt32,
    state LowCardinality(String),
    kind LowCardinality(String),
    confidential Bool,
    unit LowCardinality(String),
    on Date32,
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD)
) ENGINE = $engine ORDER BY (unit, case_id, version, _offset) SETTINGS $settings;

CREATE TABLE IF NOT EXISTS $database.unit (
    _topic LowCardinality(String),
    _partition UInt16,
    _offset UInt64 CODEC(Delta, ZSTD),
    event_id String CODEC(ZSTD),
    code String,
    name String,
    level LowCardinality(String),
    parent String,
    valid_from Date32,
    valid_to Nullable(Date32),
    seq UInt64
) ENGINE = $engine ORDER BY (code, valid_from, seq, _offset) SETTINGS $settings;

CREATE TABLE IF NOT EXISTS $database.target (
    _topic LowCardinality(String),
    _partition UInt16,
    _offset UInt64 CODEC(Delta, ZSTD),
    event_id String CODEC(ZSTD),
    value Float64,
    unit String,
    valid_from Date32,
    valid_to Nullable(Date32),
    source String,
    seq UInt64
) ENGINE = $engine ORDER BY (unit, valid_from, seq, _offset) SETTINGS $settings;
