//! What the documents say of accounts: their SQL finds something in a real ledger, their backup is a ledger, and the
//! page on operating has every fault of the ledger in its own words.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use gateway_actors::ledger::{Durability, Store, StoreFault, StoreSettings, UsageQuery, usage};
use gateway_actors::{Ask, ClientId, Dispatch, Target};
use gateway_testkit::raw_client::Request;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use super::markdown::{Block, Document};
use super::{Shipped, commands, documents, root};

/// The request that a query on the page looks for.
const SHOWN_REQUEST: &str = "req_43670ca002130e41342b43534a3d4e31";

/// The names that the page has for the ledger and for a backup.
const LEDGER: &str = "data/ledger.db";
const BACKUP: &str = "ledger-backup.db";

fn page() -> Document {
    Document::read(&root().join("docs/operating.md"))
}

/// A call that has ended, by its request id, and one that has not. Both are in the ledger.
async fn two_calls(gateway: &Shipped) -> (String, Dispatch) {
    let request = Request::post("/api/v1/generate").header("client_id", "test_client");
    let request = request.header("client_secret", "password");
    let answer = gateway.ask(&request.json(&json!({"prompt": "hi", "provider": "echo"}))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let client = ClientId::parse("test_client").unwrap();
    let target = Target { provider: "echo".into(), model: "echo".into() };
    let open = gateway.front.gateway.admit(client, Ask::from(10), target).await.unwrap();
    // The end of the first call was written before.
    open.admission.written().await.unwrap();
    (answer.header("x-request-id").unwrap().to_owned(), open)
}

/// The first column of all rows, as text where it is one.
fn first_column(path: &Path, sql: &str) -> Vec<Option<String>> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = conn.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let rows = statement.query_map((), |row| Ok(row.get_ref(0)?.as_str().ok().map(str::to_owned)));
    rows.unwrap().collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[tokio::test]
async fn every_query_in_the_documents_finds_something_in_a_ledger() {
    let gateway = Shipped::start().await;
    let (request_id, open) = two_calls(&gateway).await;
    let mut queries = 0;
    for document in documents() {
        for block in document.blocks.iter().filter(|block| block.language() == "sql") {
            let sql = block.text.replace(SHOWN_REQUEST, &request_id);
            let found = first_column(&gateway.ledger(), &sql);
            assert!(!found.is_empty(), "{}: {} finds nothing", document.name(), block.info());
            queries += 1;
        }
    }
    assert!(queries >= 6, "only {queries} queries were found in the documents");
    drop(open);
    gateway.ends().await;
}

#[tokio::test]
async fn the_commands_for_sqlite3_work_beside_a_gateway_and_their_backup_is_a_whole_ledger() {
    let gateway = Shipped::start().await;
    let (_, open) = two_calls(&gateway).await;
    let (ledger, backup) = (gateway.ledger(), gateway.data.path().join(BACKUP));
    for command in page().runs().flat_map(|snippet| commands::programs(&snippet.text)) {
        let ["sqlite3", "-readonly", flags @ .., file, sql] =
            &command.iter().map(String::as_str).collect::<Vec<_>>()[..]
        else {
            continue;
        };
        assert!(flags.iter().all(|flag| *flag == "-box"), "{flags:?}");
        let path = if *file == LEDGER { &ledger } else { &backup };
        let said = first_column(path, &sql.replace(BACKUP, &backup.display().to_string()));
        assert!(!sql.contains("integrity_check") || said == [Some("ok".to_owned())], "{said:?}");
    }
    let everything = UsageQuery::default();
    assert_eq!(usage(&backup, &everything).unwrap(), usage(&ledger, &everything).unwrap());

    // As the page has it restored: without a mark.
    let settings = StoreSettings { path: backup.clone(), durability: Durability::Process, keep_days: 90 };
    let now_ms = u64::try_from(UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let (store, recovered) = Store::open(settings, now_ms).unwrap();
    assert_eq!((recovered.next_id, recovered.settled_at_bound), (3, 1));
    let warning = recovered.warnings.join("\n").replace(&backup.display().to_string(), LEDGER);
    assert!(is_told(&page(), &warning), "{warning}");
    drop((store, open));
    gateway.ends().await;
}

/// Whether a block says exactly this, over as many lines as it likes; … is any rest.
fn is_told(page: &Document, message: &str) -> bool {
    let says = |block: &Block| {
        let words: Vec<&str> = block.text.split_whitespace().collect();
        match words.join(" ").split_once('…') {
            Some((begin, _)) => message.starts_with(begin),
            None => message == words.join(" "),
        }
    };
    page.blocks.iter().any(says)
}

/// Every fault of the ledger, with what the page takes for an example.
fn faults() -> Vec<StoreFault> {
    let path = || PathBuf::from(LEDGER);
    let mark = || PathBuf::from(format!("{LEDGER}.mark"));
    let faults = vec![
        StoreFault::Full { path: path() },
        StoreFault::ReadOnly { path: path() },
        StoreFault::CannotOpen { path: path() },
        StoreFault::Busy { path: path() },
        StoreFault::Disk { path: path(), code: 778 },
        StoreFault::Damaged { path: path() },
        StoreFault::NotADatabase { path: path() },
        StoreFault::NotALedger { path: path(), application_id: 0 },
        StoreFault::OtherSchema { path: path(), found: 3, known: 2 },
        StoreFault::NoLedger { path: path() },
        StoreFault::Missing { path: path(), mark: mark() },
        StoreFault::Behind { path: path(), mark: mark(), found: 162_577, committed: 200_000 },
        StoreFault::NoWriteAheadLog { path: path() },
        StoreFault::InUse { path: path(), holder: Some(4711) },
        StoreFault::Beside { path: mark(), source: io::ErrorKind::PermissionDenied.into() },
        StoreFault::ReadTooLong { path: path(), limit: Duration::from_secs(5) },
        StoreFault::Refused { path: path(), source: rusqlite::Error::InvalidQuery },
    ];
    for fault in &faults {
        // A new fault does not compile here until it is in the list above.
        match fault {
            StoreFault::Full { .. }
            | StoreFault::ReadOnly { .. }
            | StoreFault::CannotOpen { .. }
            | StoreFault::Busy { .. }
            | StoreFault::Disk { .. }
            | StoreFault::Damaged { .. }
            | StoreFault::NotADatabase { .. }
            | StoreFault::NotALedger { .. }
            | StoreFault::OtherSchema { .. }
            | StoreFault::NoLedger { .. }
            | StoreFault::Missing { .. }
            | StoreFault::Behind { .. }
            | StoreFault::NoWriteAheadLog { .. }
            | StoreFault::InUse { .. }
            | StoreFault::Beside { .. }
            | StoreFault::ReadTooLong { .. }
            | StoreFault::Refused { .. } => {}
        }
    }
    faults
}

#[test]
fn the_page_on_operating_has_every_fault_of_the_ledger_in_its_own_words() {
    let page = page();
    let untold: Vec<String> = faults().iter().map(ToString::to_string).collect();
    let untold: Vec<&String> = untold.iter().filter(|fault| !is_told(&page, fault)).collect();
    assert!(untold.is_empty(), "docs/operating.md does not say:\n{untold:#?}");
}
