-- Where an answer was given: away from the desk, or at it.

ALTER TABLE $database.counted ADD COLUMN IF NOT EXISTS place LowCardinality(String) DEFAULT '';
