//! A file that cannot be trusted or used stops the start, says what to do, and stays as it is. No client ever begins
//! at zero without a word.

use std::fs;
#[cfg(target_os = "linux")]
use std::process::Command;

use rusqlite::Connection;

#[cfg(target_os = "linux")]
use super::without_special_rights;
use super::{BILLED, Site, answers, ended_by_a_fault, is_logged};
use crate::program::{Program, command};

/// Three calls that are in the file, and no gateway any more. Its end was in order, so the file is all there is.
async fn with_three_calls() -> Site {
    let site = Site::new().await;
    let mut program = site.start().await;
    answers(&program, 3).await;
    program.signal("TERM");
    assert_eq!(program.ended().await, 0, "{}", program.log());
    site
}

/// The same after a kill: the calls are in the write-ahead log.
async fn with_three_calls_in_the_log() -> Site {
    let site = Site::new().await;
    let program = site.start().await;
    answers(&program, 3).await;
    site.is_written(&program).await;
    drop(program);
    site
}

/// It is refused with these words, and what is there is left as it was.
async fn is_refused(site: &Site, words: &[&str]) {
    let files = ["ledger.db", "ledger.db-wal", "ledger.db.mark"];
    // SQLite makes a write-ahead log, which is empty, by looking at a file.
    let contents = || files.map(|name| fs::read(site.data(name)).unwrap_or_default());
    let before = contents();
    let said = ended_by_a_fault(command(site.folder(), &["--listen", "127.0.0.1:0"])).await;
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert!(said.contains("data/ledger.db"), "it names the file: {said}");
    assert!(contents() == before, "what can be saved was changed by: {said}");
}

/// It starts, and ada has used so much.
async fn starts_with(site: &Site, tokens: u64) -> Program {
    let program = site.start().await;
    assert_eq!(site.used(&program).await, tokens);
    answers(&program, 1).await;
    site.is_written(&program).await;
    program
}

#[tokio::test]
async fn a_file_that_is_not_what_it_was_is_refused_with_the_way_back() {
    type Harm = fn(&Site);
    let harms: [(&str, Harm, &[&str]); 6] = [
        (
            "its header is overwritten",
            |site| overwritten(site, 0, 100),
            &["is no SQLite database", "restore a backup"],
        ),
        (
            "its pages are overwritten",
            |site| overwritten(site, 4_096, usize::MAX),
            &["is damaged", "restore a backup"],
        ),
        ("its end is cut off", |site| truncated(site, 8_192), &["is damaged", "restore a backup"]),
        ("it is empty", |site| truncated(site, 0), &["missing or empty", "restore a backup"]),
        (
            "it is gone",
            |site| fs::remove_file(site.ledger()).unwrap(),
            &["missing or empty", "restore a backup"],
        ),
        (
            "it is of a later version",
            |site| site.sqlite().pragma_update(None, "user_version", 99).unwrap(),
            &["has schema 99", "use the version that wrote it"],
        ),
    ];
    let site = with_three_calls().await;
    let good = fs::read(site.ledger()).unwrap();
    for (what, harm, words) in harms {
        println!("{what}");
        harm(&site);
        is_refused(&site, words).await;
        // The way back.
        fs::write(site.ledger(), &good).unwrap();
    }
    starts_with(&site, 3 * BILLED).await;
}

fn overwritten(site: &Site, from: usize, to: usize) {
    let mut bytes = fs::read(site.ledger()).unwrap();
    let end = to.min(bytes.len());
    bytes[from..end].fill(0xa5);
    fs::write(site.ledger(), bytes).unwrap();
}

fn truncated(site: &Site, length: u64) {
    fs::File::options().write(true).open(site.ledger()).unwrap().set_len(length).unwrap();
}

#[tokio::test]
async fn a_copy_from_before_is_refused_and_taken_only_when_somebody_says_so() {
    let site = with_three_calls().await;
    let old = fs::read(site.ledger()).unwrap();
    starts_with(&site, 3 * BILLED).await;
    drop(site.sqlite());
    fs::write(site.ledger(), old).unwrap();
    let _ = fs::remove_file(site.data("ledger.db-wal"));
    is_refused(&site, &["it is an old copy", "restore the newest copy", "move", "ledger.db.mark"]).await;

    fs::remove_file(site.data("ledger.db.mark")).unwrap();
    let program = starts_with(&site, 3 * BILLED).await;
    is_logged(&program, "lost changes of the ledger would not have been noticed").await;
}

#[tokio::test]
async fn a_damaged_write_ahead_log_is_not_cut_short_without_a_word() {
    let site = with_three_calls_in_the_log().await;
    let wal = site.data("ledger.db-wal");
    let good = fs::read(&wal).unwrap();
    let mut bad = good.clone();
    let at = bad.len() - 100;
    bad[at] ^= 0xff;
    fs::write(&wal, bad).unwrap();
    is_refused(&site, &["was committed", "restore the newest copy"]).await;
    fs::remove_file(&wal).unwrap();
    is_refused(&site, &["restore"]).await;
    fs::write(&wal, good).unwrap();
    starts_with(&site, 3 * BILLED).await;
}

#[tokio::test]
async fn a_new_ledger_is_said_to_be_one() {
    let site = Site::new().await;
    let program = starts_with(&site, 0).await;
    let said = "made a new one, in which no client has used anything";
    is_logged(&program, said).await;
    drop(program);
    let mut program = starts_with(&site, BILLED).await;
    program.signal("TERM");
    assert_eq!(program.ended().await, 0);
    assert!(!program.log().contains(said), "{}", program.log());
}

#[tokio::test]
async fn a_database_of_another_program_is_left_alone() {
    let site = Site::new().await;
    fs::create_dir(site.data("")).unwrap();
    let other = Connection::open(site.ledger()).unwrap();
    other.execute_batch("CREATE TABLE theirs (it); PRAGMA application_id = 7").unwrap();
    drop(other);
    is_refused(&site, &["is a database of another program", "[ledger] path"]).await;
}

#[tokio::test]
async fn a_second_gateway_on_the_same_data_is_refused_and_the_first_goes_on() {
    let site = Site::new().await;
    let first = site.start().await;
    answers(&first, 1).await;
    let said = ended_by_a_fault(command(site.folder(), &["--listen", "127.0.0.1:0"])).await;
    let holder = format!("is in use by another gateway (process {})", first.id());
    assert!(said.contains(&holder) && said.contains("--data"), "{said}");
    answers(&first, 1).await;
    // The lock goes with its process, whatever way that ends.
    site.is_written(&first).await;
    drop(first);
    starts_with(&site, 2 * BILLED).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_that_may_not_be_written_stops_the_start() {
    use std::os::unix::fs::PermissionsExt;
    let site = with_three_calls().await;
    let set = |name: &str, mode| {
        fs::set_permissions(site.data(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    // In a folder that may not be written, the files that are there may.
    fs::remove_file(site.data("ledger.db.lock")).unwrap();
    for (name, closed, open) in [("", 0o500, 0o700), ("ledger.db.mark", 0o400, 0o600)] {
        set(name, closed);
        let said = ended_by_a_fault(without_special_rights(&site)).await;
        assert!(said.contains("ledger.db") && said.contains("the gateway's user"), "{name}: {said}");
        set(name, open);
    }
    starts_with(&site, 3 * BILLED).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_that_is_full_at_the_start_is_refused_too() {
    let site = Site::new().await;
    let mut shell = Command::new("/bin/sh");
    let program = command(site.folder(), &["--listen", "127.0.0.1:0"]);
    shell
        .current_dir(site.folder())
        .env_clear()
        .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\""]);
    shell.arg(program.get_program()).args(program.get_args());
    let said = ended_by_a_fault(shell).await;
    assert!(said.contains("ledger.db") && said.contains("look at it, its mount and its quota"), "{said}");
    starts_with(&site, 0).await;
}
