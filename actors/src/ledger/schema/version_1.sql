-- Times: `…_ms` are milliseconds since 1970-01-01T00:00:00Z; `…_mono` are nanoseconds of a clock that
-- never goes back and goes on from one process to the next; days count from 1970-01-01, in UTC.
-- Money is pico-USD (10^-12 USD). No column holds text of a prompt or of an answer.

-- One row per admission.
CREATE TABLE calls (
    id            INTEGER PRIMARY KEY,
    settled_seq   INTEGER,           -- place in the order of all settlements; NULL while the call runs
    request_id    TEXT    NOT NULL,
    client        TEXT    NOT NULL,
    endpoint      TEXT    NOT NULL,
    provider      TEXT    NOT NULL,
    model         TEXT    NOT NULL,
    day           INTEGER NOT NULL,  -- the client's day in which the call counts
    admitted_ms   INTEGER NOT NULL,
    admitted_mono INTEGER NOT NULL,
    bound_tokens  INTEGER NOT NULL,  -- what was reserved
    bound_cost    INTEGER,           -- NULL when the model has no price
    -- NULL until the call is settled:
    settled_ms    INTEGER,
    settled_mono  INTEGER,
    ending        TEXT,              -- answered, left, cut, refused, failed, never_sent, crashed
    grade         TEXT,              -- reported, counted, estimated
    tokens        INTEGER,           -- what is charged
    cost          INTEGER,           -- what is charged; NULL when the model has no price
    input         INTEGER,           -- the parts of `tokens`; unknown, and so 0, when `ending` is crashed
    cache_read    INTEGER,
    cache_write   INTEGER,
    output        INTEGER,
    reasoning     INTEGER,
    attempts      INTEGER            -- upstreams that were asked; NULL when `ending` is crashed
) STRICT;

-- Sums of settled calls, of those that never were sent excepted; which ones: see `state`.
CREATE TABLE daily (
    day               INTEGER NOT NULL,
    client            TEXT    NOT NULL,
    provider          TEXT    NOT NULL,
    model             TEXT    NOT NULL,
    requests          INTEGER NOT NULL,
    failed            INTEGER NOT NULL,  -- of the requests, those that ended refused or failed
    tokens            INTEGER NOT NULL,
    debt              INTEGER NOT NULL,  -- of the tokens, those by which settlements went above their bounds
    cost              INTEGER NOT NULL,
    unpriced_requests INTEGER NOT NULL,  -- of the requests, those whose cost nobody knows
    input             INTEGER NOT NULL,
    cache_read        INTEGER NOT NULL,
    cache_write       INTEGER NOT NULL,
    output            INTEGER NOT NULL,
    reasoning         INTEGER NOT NULL,
    PRIMARY KEY (day, client, provider, model)
) STRICT, WITHOUT ROWID;

-- Each client's latest day in `daily` and that day's month, so that a start need not add up a month.
CREATE TABLE accounts (
    client     TEXT    NOT NULL PRIMARY KEY,
    day        INTEGER NOT NULL,
    month      INTEGER NOT NULL,  -- months since March of the year 0
    tokens     INTEGER NOT NULL,
    debt       INTEGER NOT NULL,
    cost       INTEGER NOT NULL,
    month_cost INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row.
CREATE TABLE state (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    seq            INTEGER NOT NULL,  -- changes committed ever
    last_id        INTEGER NOT NULL,  -- the highest id ever, also when its row has gone
    latest_ms      INTEGER NOT NULL,  -- the latest moment in the ledger, on both clocks
    latest_mono    INTEGER NOT NULL,
    rolled_up_seq  INTEGER NOT NULL,  -- `daily` and `accounts` have the settlements up to this one
    rolled_up_from INTEGER NOT NULL   -- calls that they do not have, settled or not, have at least this id
) STRICT;

INSERT INTO state VALUES (1, 0, 0, 0, 0, 0, 1);

-- What is settled and not in `daily` yet, in its columns.
CREATE VIEW settled_since AS
SELECT day, client, provider, model,
       1 AS requests,
       ending IN ('refused', 'failed') AS failed,
       tokens,
       max(tokens - bound_tokens, 0) AS debt,
       coalesce(cost, 0) AS cost,
       cost IS NULL AS unpriced_requests,
       input, cache_read, cache_write, output, reasoning
FROM calls
WHERE id >= (SELECT rolled_up_from FROM state)
  AND settled_seq > (SELECT rolled_up_seq FROM state)
  AND ending <> 'never_sent';

-- Everything that is settled. One day, client, provider and model may have several rows: add them up.
CREATE VIEW usage_by_day AS
SELECT day, client, provider, model, requests, failed, tokens, debt, cost, unpriced_requests,
       input, cache_read, cache_write, output, reasoning
FROM daily
UNION ALL
SELECT day, client, provider, model, requests, failed, tokens, debt, cost, unpriced_requests,
       input, cache_read, cache_write, output, reasoning
FROM settled_since;

-- For people.
CREATE VIEW calls_readable AS
SELECT id, request_id, client, endpoint, provider, model,
       date(day * 86400, 'unixepoch') AS day,
       strftime('%Y-%m-%dT%H:%M:%fZ', admitted_ms / 1000.0, 'unixepoch') AS admitted,
       strftime('%Y-%m-%dT%H:%M:%fZ', settled_ms / 1000.0, 'unixepoch') AS settled,
       coalesce(ending, 'open') AS ending, grade, attempts,
       bound_tokens, tokens, input, cache_read, cache_write, output, reasoning,
       bound_cost / 1e12 AS bound_usd,
       cost / 1e12 AS usd
FROM calls;
