//! How long a gateway with a long history takes to have its accounts: `Store::open` on a ledger of 90 days, 10,000
//! clients and 2 models, after a kill with 1,000 calls in flight and 30,000 in the last minute.
//!
//! `cargo bench -p gateway-actors --bench recovery -- 10000000`
//!
//! The number is the rows of the ledger; a million unless told. It is made in a temporary folder with SQL alone
//! and takes about 250 bytes per row. The file has just been written, so what is measured is a start with a warm
//! page cache.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use gateway_actors::ledger::{Durability, Store, StoreSettings, UsageQuery, usage};
use rusqlite::{Connection, params};

const ROWS: i64 = 1_000_000;
const CLIENTS: i64 = 10_000;
const DAYS: i64 = 90;
const LAST_MINUTE: i64 = 30_000;
const OPEN: i64 = 1_000;

const DAY_MS: i64 = 86_400_000;
/// 2026-01-01T00:00:00Z.
const FIRST_MS: i64 = 1_767_225_600_000;
/// 23:00 of the ninetieth day, 31 March: the longest month is nearly over.
const LAST_MS: i64 = FIRST_MS + DAYS * DAY_MS - DAY_MS / 24;

/// Calls `?1 + 1` to `?2`, evenly from the moment `?3` to `?4`.
const CALLS: &str = "
WITH RECURSIVE number (n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM number WHERE n < ?2 - 1),
call AS (SELECT n + 1 AS id, n, ?3 + (n - ?1) * (?4 - ?3) / (?2 - ?1) AS ms FROM number)
INSERT INTO calls
    (id, settled_seq, request_id, client, endpoint, provider, model, day, admitted_ms, admitted_mono,
     bound_tokens, bound_cost, settled_ms, settled_mono, ending, grade, tokens, cost,
     input, cache_read, cache_write, output, reasoning, attempts)
SELECT id, id, printf('req_%026d', id), printf('client-%05d', n * 7919 % ?5), 'chat/completions', 'openai',
       CASE n / ?5 % 2 WHEN 0 THEN 'gpt-5.4-nano' ELSE 'gpt-5.4-mini' END,
       ms / 86400000, ms, (ms - ?6) * 1000000,
       4000, 4000000000, ms + 900, (ms + 900 - ?6) * 1000000, 'answered', 'reported', 1514, 170600000,
       900, 300, 0, 250, 64, 1
FROM call";

/// The sums of all calls up to `?1`.
const DAILY: &str = "
INSERT INTO daily
SELECT day, client, provider, model, count(*), 0, sum(tokens), 0, sum(cost), 0, sum(input), sum(cache_read), 0,
       sum(output), sum(reasoning)
FROM calls WHERE id <= ?1 GROUP BY day, client, provider, model";

const ACCOUNTS: &str = "
INSERT INTO accounts
SELECT client, latest,
       strftime('%Y', latest * 86400, 'unixepoch') * 12 + strftime('%m', latest * 86400, 'unixepoch') - 3,
       sum(tokens) FILTER (WHERE day = latest), 0, sum(cost) FILTER (WHERE day = latest),
       sum(cost) FILTER (WHERE strftime('%m', day * 86400, 'unixepoch')
                             = strftime('%m', latest * 86400, 'unixepoch'))
FROM (SELECT *, max(day) OVER (PARTITION BY client) AS latest FROM daily)
GROUP BY client";

/// Takes back the ends of the last `?2` of the calls up to `?1`.
const REOPEN: &str = "
UPDATE calls SET settled_seq = NULL, settled_ms = NULL, settled_mono = NULL, ending = NULL, grade = NULL,
    tokens = NULL, cost = NULL, input = NULL, cache_read = NULL, cache_write = NULL, output = NULL,
    reasoning = NULL, attempts = NULL
WHERE id > ?1 - ?2";

const STATE: &str = "
UPDATE state SET seq = 2 * ?1, last_id = ?1, latest_ms = ?2, latest_mono = (?2 - ?3) * 1000000,
                 rolled_up_seq = ?4, rolled_up_from = ?4 + 1";

fn make(path: &Path, rows: i64) -> rusqlite::Result<()> {
    let conn = Connection::open(path)?;
    conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; BEGIN")?;
    let rolled_up = rows - LAST_MINUTE;
    let last_minute_ms = LAST_MS - 60_000;
    conn.execute(CALLS, params![0, rolled_up, FIRST_MS, last_minute_ms, CLIENTS, FIRST_MS])?;
    conn.execute(CALLS, params![rolled_up, rows, last_minute_ms, LAST_MS, CLIENTS, FIRST_MS])?;
    conn.execute(DAILY, [rolled_up])?;
    conn.execute(ACCOUNTS, ())?;
    conn.execute(REOPEN, [rows, OPEN])?;
    conn.execute(STATE, params![rows, LAST_MS, FIRST_MS, rolled_up])?;
    conn.execute_batch("COMMIT")
}

fn main() -> Result<(), Box<dyn Error>> {
    let rows = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(ROWS).max(2 * LAST_MINUTE);
    let mut out = std::io::stdout().lock();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("ledger.db");
    let settings = StoreSettings { path: path.clone(), durability: Durability::Process, keep_days: 90 };
    drop(Store::open(settings.clone(), u64::try_from(FIRST_MS)?)?);

    let begun = Instant::now();
    make(&path, rows)?;
    let megabytes = std::fs::metadata(&path)?.len() >> 20;
    writeln!(out, "made {rows} rows, {megabytes} MB, in {:.1} s", begun.elapsed().as_secs_f64())?;

    let begun = Instant::now();
    let (store, recovered) = Store::open(settings, u64::try_from(LAST_MS)? + 2_000)?;
    writeln!(
        out,
        "opened in {:.3} s: {} accounts, {} calls settled at their bounds, next id {}",
        begun.elapsed().as_secs_f64(),
        recovered.accounts.len(),
        recovered.settled_at_bound,
        recovered.next_id
    )?;

    let begun = Instant::now();
    let usage = usage(&path, &UsageQuery::default())?;
    let requests = usage.first().map_or(0, |row| row.requests);
    writeln!(out, "usage of all {requests} requests read in {:.3} s", begun.elapsed().as_secs_f64())?;
    drop(store);
    Ok(())
}
