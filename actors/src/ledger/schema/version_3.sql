-- Attempts that an upstream failed, and what it may bill for them: of that no client is charged, but the operator is. An
-- attempt that answered, or whose client left, is not here: it is the row in `calls`.
CREATE TABLE failed_attempts (
    call       INTEGER NOT NULL,  -- `calls.id`
    attempt    INTEGER NOT NULL,  -- which of the call's, from 1
    client     TEXT    NOT NULL,
    provider   TEXT    NOT NULL,
    key        TEXT    NOT NULL,  -- the key's name in the configuration, not the key
    model      TEXT    NOT NULL,
    day        INTEGER NOT NULL,  -- in which it failed
    failed_ms  INTEGER NOT NULL,
    took_ms    INTEGER NOT NULL,  -- from sending until it failed
    fault      TEXT    NOT NULL,  -- a fixed word, as in the log
    status     INTEGER,           -- the upstream's, where it gave one
    grade      TEXT    NOT NULL,  -- counted: from what came; estimated: nothing came, and the prompt may be billed
    cost       INTEGER,           -- NULL when the model has no price
    input      INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    output     INTEGER NOT NULL,
    reasoning  INTEGER NOT NULL,
    PRIMARY KEY (call, attempt)
) STRICT, WITHOUT ROWID;

-- The sums of those that may be billed, which stay.
CREATE TABLE failed_daily (
    day      INTEGER NOT NULL,
    client   TEXT    NOT NULL,
    provider TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    model    TEXT    NOT NULL,
    attempts INTEGER NOT NULL,
    tokens   INTEGER NOT NULL,
    cost     INTEGER NOT NULL,
    PRIMARY KEY (day, client, provider, key, model)
) STRICT, WITHOUT ROWID;

-- The key that the call went to last; NULL in rows of before, and while the call runs.
ALTER TABLE calls ADD COLUMN key TEXT;

-- For people: every attempt of every call with what its upstream may bill. What a call's client is charged for is the
-- part of the attempt that is its last, unless that one failed too.
CREATE VIEW attempts_readable AS
SELECT calls.request_id, calls.client, failed.attempt, failed.provider, failed.key, failed.model,
       strftime('%Y-%m-%dT%H:%M:%fZ', failed.failed_ms / 1000.0, 'unixepoch') AS ended,
       failed.took_ms, failed.fault AS ending, failed.status, failed.grade,
       failed.input, failed.cache_read, failed.cache_write, failed.output, failed.reasoning,
       failed.cost / 1e12 AS usd
FROM failed_attempts AS failed JOIN calls ON calls.id = failed.call
UNION ALL
SELECT request_id, client, attempts, provider, key, model,
       strftime('%Y-%m-%dT%H:%M:%fZ', settled_ms / 1000.0, 'unixepoch'),
       settled_ms - admitted_ms, ending, NULL, grade,
       input, cache_read, cache_write, output, reasoning,
       cost / 1e12
FROM calls
WHERE settled_seq IS NOT NULL AND ending <> 'never_sent'
  AND NOT EXISTS (SELECT 1 FROM failed_attempts WHERE call = calls.id AND attempt = calls.attempts);
