-- What a unit is called elsewhere, and which units it carries on; targets narrower than a unit; what an alert stands on.

ALTER TABLE $database.unit
    ADD COLUMN IF NOT EXISTS kind String CODEC(ZSTD),
    ADD COLUMN IF NOT EXISTS gso String CODEC(ZSTD),
    ADD COLUMN IF NOT EXISTS aliases String CODEC(ZSTD),
    ADD COLUMN IF NOT EXISTS predecessors String CODEC(ZSTD),
    ADD COLUMN IF NOT EXISTS source String CODEC(ZSTD);

ALTER TABLE $database.target
    ADD COLUMN IF NOT EXISTS field LowCardinality(String),
    ADD COLUMN IF NOT EXISTS channel LowCardinality(String),
    ADD COLUMN IF NOT EXISTS question LowCardinality(String);

ALTER TABLE $database.alert
    ADD COLUMN IF NOT EXISTS field LowCardinality(String),
    ADD COLUMN IF NOT EXISTS expected Nullable(Float64),
    ADD COLUMN IF NOT EXISTS estimate Nullable(Float64),
    ADD COLUMN IF NOT EXISTS years Nullable(Float64),
    ADD COLUMN IF NOT EXISTS table_month LowCardinality(String);
