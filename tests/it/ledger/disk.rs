//! Trouble with the file while the gateway runs: no room, a lock, a file that is gone. What cannot be accounted for
//! is refused, what was accounted for stays, and it goes on by itself.

#[cfg(target_os = "linux")]
use std::process::Command;
use std::time::Duration;

use gateway_testkit::deadline::patiently;
use gateway_testkit::raw_client::Request;
use gateway_testkit::{RawClient, Reply, chat_request};

#[cfg(target_os = "linux")]
use super::without_special_rights;
use super::{
    BILLED, Locked, Site, answered_in_the_end, answers, assert_is_refused, chat, ended, is_logged,
    one_of_each,
};
#[cfg(target_os = "linux")]
use crate::program::with_files_to_limit;
use crate::program::{Program, command};

/// A stream of ada's that goes on for some 300 ms more.
async fn open_stream(site: &Site, program: &Program) -> RawClient {
    let pieces = Reply::stream(["one ", "two ", "three ", "four"]).gap(Duration::from_millis(100));
    site.upstream.script(pieces.tokens(7, 4));
    let mut stream = program.connect().await;
    assert_eq!(stream.open(&chat_request("ada", "go on", true)).await.status, 200);
    while !stream.next_message().await.expect("the stream goes on").contains("one") {}
    stream
}

/// Reads a stream to its end, which must be the proper one.
async fn ends_properly(mut stream: RawClient) {
    let mut last = String::new();
    while let Some(message) = stream.next_message().await {
        last = message;
    }
    assert_eq!((&*last, stream.ended_properly()), ("[DONE]", true));
}

/// While the file cannot be written, everything new is refused at once and nothing of it reaches the upstream, with
/// the reason where the operator looks.
async fn refuses_with_a_reason(site: &Site, program: &Program, reason: &str) {
    let asked = site.upstream.requests();
    for request in one_of_each() {
        assert_is_refused(&program.ask(&request).await);
    }
    assert_eq!(site.upstream.requests(), asked, "nothing was sent");
    let told = site.trouble(program).await.expect("the tree says why");
    assert!(told.contains(reason) && told.contains("ledger.db"), "{told}");
    is_logged(program, "the ledger cannot be written").await;
    is_logged(program, reason).await;
    for path in ["/health", "/readyz"] {
        assert_eq!(program.ask(&Request::get(path)).await.status, 200, "it runs");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_refuses_what_is_new_finishes_what_runs_and_loses_nothing() {
    let site = Site::new().await;
    let program = Program::started(with_files_to_limit(site.folder())).await;
    answers(&program, 3).await;
    let stream = open_stream(&site, &program).await;

    program.limit_files(Some(4_096));
    // Nobody knows of it yet, so the upstream is asked, and its answer withheld.
    assert_is_refused(&chat(&program).await);
    refuses_with_a_reason(&site, &program, "does not read or write").await;
    ends_properly(stream).await;
    refuses_with_a_reason(&site, &program, "does not read or write").await;

    program.limit_files(None);
    assert!(answered_in_the_end(&program).await > 0, "nobody had to restart it");
    assert_eq!(site.trouble(&program).await, None);
    is_logged(&program, "the ledger can be written again").await;
    site.is_written(&program).await;
    assert_eq!(site.used(&program).await, 4 * BILLED + 11, "what was withheld costs nothing");

    drop(program);
    let program = site.start().await;
    assert_eq!(site.used(&program).await, 4 * BILLED + 11);
    assert_eq!(site.number("SELECT count(*) FROM calls WHERE ending = 'answered'"), 5);
    let withheld = site.number("SELECT count(*) FROM calls WHERE ending = 'failed' AND tokens = 0");
    assert_eq!(usize::try_from(5 + withheld).unwrap(), site.upstream.requests());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_kill_in_the_middle_of_a_full_disk_costs_the_bounds_of_what_ran_and_nothing_else() {
    let site = Site::new().await;
    let program = Program::started(with_files_to_limit(site.folder())).await;
    answers(&program, 3).await;
    let stream = open_stream(&site, &program).await;
    program.limit_files(Some(4_096));
    assert_is_refused(&chat(&program).await);
    ends_properly(stream).await;
    drop(program);

    let program = site.start().await;
    let bound = site.number("SELECT bound_tokens FROM calls WHERE ending = 'crashed'");
    assert!(bound > 11, "it is above what the stream was billed");
    assert_eq!(site.used(&program).await, 3 * BILLED + u64::try_from(bound).unwrap());
    assert_eq!(site.number("SELECT count(*) FROM calls"), 4, "what was withheld was never admitted");
    answers(&program, 1).await;
}

/// The program with a data folder that has room for 300 KiB, unless this machine lets nobody mount one.
#[cfg(target_os = "linux")]
fn with_little_room(site: &Site) -> Option<Command> {
    let namespace = ["--user", "--map-root-user", "--mount", "/bin/sh", "-c"];
    let mount = "mount -t tmpfs -o size=300k tmpfs data";
    std::fs::create_dir(site.data("")).unwrap();
    let mut trial = Command::new("unshare");
    let trial = trial.current_dir(site.folder()).args(namespace).arg(mount);
    if !trial.status().is_ok_and(|status| status.success()) {
        return None;
    }
    let program = command(site.folder(), &["--listen", "127.0.0.1:0"]);
    let mut unshare = Command::new("unshare");
    unshare.current_dir(site.folder()).env_clear().args(namespace);
    unshare.arg(format!("{mount} && exec \"$0\" \"$@\"")).arg(program.get_program()).args(program.get_args());
    Some(unshare)
}

/// The other tests have a limit in place of a full disk, which needs no rights. Here is a real one, where it may be
/// mounted.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_system_without_room_is_named_so_and_used_again_when_it_has_some() {
    let mut site = Site::new().await;
    let Some(command) = with_little_room(&site) else { return };
    let program = Program::started(command).await;
    // As the program sees it.
    site.data = format!("/proc/{}/root{}", program.id(), site.data.display()).into();
    answers(&program, 3).await;
    site.is_written(&program).await;
    let filler = site.data("filler");
    std::fs::write(&filler, vec![0; 1 << 20]).expect_err("there is less room");

    // What is in the file already may be written over without more room.
    let mut answered = 4;
    while chat(&program).await.status == 200 {
        answered += 1;
    }
    refuses_with_a_reason(&site, &program, "no space left for").await;
    std::fs::remove_file(&filler).unwrap();
    answered_in_the_end(&program).await;
    site.is_written(&program).await;
    assert_eq!(site.used(&program).await, answered * BILLED);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_that_may_not_be_written_refuses_until_it_may() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new().await;
    let mut program = site.start().await;
    answers(&program, 3).await;
    program.signal("TERM");
    assert_eq!(program.ended().await, 0);
    let set = |name: &str, mode| {
        std::fs::set_permissions(site.data(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set("ledger.db", 0o400);
    let program = Program::started(without_special_rights(&site)).await;
    assert_eq!(site.used(&program).await, 3 * BILLED);
    assert_is_refused(&chat(&program).await);
    refuses_with_a_reason(&site, &program, "cannot be written: give the gateway's user the right").await;
    // What SQLite makes beside a file has the file's rights.
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        set(name, 0o600);
    }
    answered_in_the_end(&program).await;
    site.is_written(&program).await;
    assert_eq!(site.used(&program).await, 4 * BILLED);
}

#[tokio::test]
async fn a_lock_of_another_program_refuses_what_is_new_until_it_is_gone() {
    let site = Site::new().await;
    let program = site.start().await;
    answers(&program, 3).await;
    site.is_written(&program).await;

    let lock = Locked::take(&site);
    // Within the time that the gateway waits for the lock it is not taken for trouble.
    assert_is_refused(&chat(&program).await);
    refuses_with_a_reason(&site, &program, "is locked by another program").await;
    assert_eq!(
        ended(command(site.folder(), &["usage"])).await.status.code(),
        Some(0),
        "it can be read meanwhile"
    );
    lock.end();
    answered_in_the_end(&program).await;
    site.is_written(&program).await;
    assert_eq!(site.used(&program).await, 4 * BILLED);
}

#[tokio::test]
async fn not_a_byte_of_an_answer_goes_out_before_its_reservation_is_written() {
    let site = Site::new().await;
    let program = site.start().await;
    for request in one_of_each() {
        site.is_written(&program).await;
        let mut client = program.connect().await;
        let lock = Locked::take(&site);
        client.send(&request).await;
        site.upstream.next_request().await.finished().await;
        // The upstream has answered; the gateway has had time for much else.
        for _ in 0..20 {
            assert_eq!(program.ask(&Request::get("/health")).await.status, 200);
        }
        assert!(!client.has_answer().await, "a crash could forget this call");
        lock.end();
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.complete), (200, true), "{}", answer.text());
    }
    site.is_written(&program).await;
    assert_eq!(site.used(&program).await, 3 * BILLED);
}

#[tokio::test]
async fn a_ledger_that_is_moved_away_is_missed_and_taken_back() {
    let site = Site::new().await;
    let mut program = site.start().await;
    answers(&program, 3).await;
    site.is_written(&program).await;
    let aside = site.data("aside.db");
    std::fs::rename(site.ledger(), &aside).unwrap();
    // It looks once a second while it has something to write.
    let asking = async {
        while site.trouble(&program).await.is_none() {
            let status = chat(&program).await.status;
            assert!(status == 200 || status == 503, "{status}");
        }
    };
    patiently("it to be missed", asking).await;
    refuses_with_a_reason(&site, &program, "is missing").await;
    assert!(!site.ledger().exists(), "no new one was made in its place");

    std::fs::rename(&aside, site.ledger()).unwrap();
    answered_in_the_end(&program).await;
    site.is_written(&program).await;
    let used = site.used(&program).await;
    program.signal("TERM");
    assert_eq!(program.ended().await, 0);
    let program = site.start().await;
    assert_eq!(site.used(&program).await, used);
}
