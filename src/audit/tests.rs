use std::fs;
use std::net::Ipv4Addr;

use super::*;
use crate::config::test_folder::TestFolder;

fn now() -> Timestamp {
    "2026-11-30T12:00:00.7Z".parse().unwrap()
}

fn ada() -> ClientId {
    ClientId::parse("ada").unwrap()
}

fn settings(generation: u64) -> Deed<'static> {
    Deed::Settings { generation, changed: &["server"] }
}

#[test]
fn an_entry_says_when_who_what_and_to_which_client() {
    let folder = TestFolder::new();
    let log = AuditLog::new(folder.path());
    let author =
        Author::Admin { address: Ipv4Addr::new(192, 0, 2, 7).into(), request_id: "req_1".to_owned() };
    let members = Members::from_iter([("name".to_owned(), json!({"before": "a", "after": "b\n"}))]);
    let deed = Deed::File { change: FileChange::Patch, client: &ada(), members };
    log.by(author).record(now(), &[deed]).unwrap();
    let text = fs::read_to_string(folder.path().join("audit.log")).unwrap();
    assert_eq!(
        text,
        "{\"at\":\"2026-11-30T12:00:00.700Z\",\"who\":\"admin\",\"address\":\"192.0.2.7\",\"request_id\":\"req_1\",\
         \"what\":\"client.change\",\"client\":\"ada\",\"members\":{\"name\":{\"before\":\"a\",\"after\":\"b\\n\"}}}\n"
    );
}

#[test]
fn the_last_entries_come_back_newest_first() {
    let folder = TestFolder::new();
    let log = AuditLog::new(&folder.path().join("not/yet/there"));
    assert_eq!(log.tail(10).unwrap(), Vec::<Value>::new());
    for generation in 1..=5 {
        log.by(Author::Watch).record(now(), &[settings(generation)]).unwrap();
    }
    let generations = |limit: usize| -> Vec<u64> {
        log.tail(limit).unwrap().iter().map(|entry| entry["generation"].as_u64().unwrap()).collect()
    };
    assert_eq!(generations(2), [5, 4]);
    assert_eq!(generations(100), [5, 4, 3, 2, 1]);
}

#[test]
fn an_entry_behind_one_that_was_cut_off_is_whole() {
    let folder = TestFolder::new().with("audit.log", "{\"at\":\"20");
    let log = AuditLog::new(folder.path());
    log.by(Author::Signal).record(now(), &[settings(1)]).unwrap();
    assert_eq!(log.tail(10).unwrap().len(), 1);
    assert!(fs::read_to_string(folder.path().join("audit.log")).unwrap().starts_with("{\"at\":\"20\n{"));
}

#[test]
fn a_file_that_is_moved_aside_is_begun_anew() {
    let folder = TestFolder::new();
    let log = AuditLog::new(folder.path());
    log.by(Author::Watch).record(now(), &[settings(1)]).unwrap();
    fs::rename(folder.path().join("audit.log"), folder.path().join("audit.log.1")).unwrap();
    log.by(Author::Watch).record(now(), &[settings(2)]).unwrap();
    assert_eq!(log.tail(10).unwrap().len(), 1);
}

#[test]
fn no_deed_is_no_entry() {
    let folder = TestFolder::new();
    AuditLog::new(folder.path()).by(Author::Watch).record(now(), &[]).unwrap();
    assert!(!folder.path().join("audit.log").exists());
}

#[test]
fn a_log_that_cannot_be_written_says_so_with_its_name() {
    let folder = TestFolder::new().with("audit.log/in-its-place", "");
    let log = AuditLog::new(folder.path());
    let fault = log.by(Author::Watch).record(now(), &[settings(1)]).unwrap_err().to_string();
    assert!(fault.contains("audit.log: cannot be opened"), "{fault}");
    assert!(fault.contains("no change is made that is not recorded"), "{fault}");
}

#[cfg(unix)]
#[test]
fn its_owner_alone_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TestFolder::new();
    AuditLog::new(folder.path()).by(Author::Command).record(now(), &[settings(1)]).unwrap();
    let mode = fs::metadata(folder.path().join("audit.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// A command of root must not shut the gateway's own user out.
#[cfg(unix)]
#[test]
fn a_new_log_and_its_folder_belong_to_the_owner_of_what_is_above() {
    use std::os::unix::fs::{MetadataExt, chown};
    let folder = TestFolder::new();
    // Only root may give files away; for anybody else all owners are the same anyway.
    let _ = chown(folder.path(), Some(4_321), Some(4_321));
    let owner = fs::metadata(folder.path()).unwrap().uid();
    let data = folder.path().join("data");
    AuditLog::new(&data).by(Author::Command).record(now(), &[settings(1)]).unwrap();
    for made in [data.clone(), data.join("audit.log")] {
        assert_eq!(fs::metadata(&made).unwrap().uid(), owner, "{}", made.display());
    }
}
