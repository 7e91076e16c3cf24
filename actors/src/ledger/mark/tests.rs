//! When a ledger that ends before its mark is a warning, and when it is not used.

use super::*;

/// The boot that a mark's line names.
pub(in crate::ledger) fn boot_of(line: &str) -> String {
    line.split_whitespace().last().unwrap_or_default().to_owned()
}

struct Marked {
    folder: tempfile::TempDir,
}

impl Marked {
    /// A mark that was written in this boot: so many changes, of which so many were on the disk.
    fn new(boot: &str, durability: Durability, seq: u64, safe_seq: u64) -> Self {
        let marked = Self { folder: tempfile::tempdir().unwrap() };
        let mut mark = marked.open(boot, durability);
        mark.set(safe_seq);
        mark.set_safe().unwrap();
        mark.set(seq);
        marked
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db.mark")
    }

    fn open(&self, boot: &str, durability: Durability) -> Mark {
        Mark::open_at_boot(&self.path(), durability, boot.to_owned()).unwrap()
    }

    /// The verdict in this boot on a ledger that ends here.
    fn check(&self, boot: &str, seq: u64) -> Result<Option<String>, StoreFault> {
        self.open(boot, Durability::Process).check(Path::new("ledger.db"), seq)
    }
}

#[test]
fn a_ledger_that_reaches_its_mark_is_used() {
    let marked = Marked::new("monday", Durability::Process, 20, 10);
    assert!(matches!(marked.check("monday", 20), Ok(None)));
    // Killed between the commit and the mark.
    assert!(matches!(marked.check("monday", 27), Ok(None)));
}

#[test]
fn a_ledger_below_its_mark_is_not_used() {
    let marked = Marked::new("monday", Durability::Process, 20, 10);
    let fault = marked.check("monday", 19).unwrap_err();
    assert!(matches!(fault, StoreFault::Behind { found: 19, committed: 20, .. }), "{fault}");
    assert!(fault.to_string().contains("ledger.db.mark aside"), "{fault}");
}

#[test]
fn after_a_power_failure_what_no_checkpoint_had_may_be_missing() {
    let marked = Marked::new("monday", Durability::Process, 20, 10);
    let warning = marked.check("tuesday", 12).unwrap().unwrap();
    assert!(warning.contains("lost its last 8 changes"), "{warning}");
    assert!(matches!(marked.check("tuesday", 9), Err(StoreFault::Behind { .. })));
}

#[test]
fn with_durability_disk_a_power_failure_excuses_nothing() {
    let marked = Marked::new("monday", Durability::Disk, 20, 10);
    assert!(matches!(marked.check("tuesday", 19), Err(StoreFault::Behind { .. })));
}

#[test]
fn where_boots_cannot_be_told_apart_nothing_is_excused() {
    for (then, now) in [(UNKNOWN_BOOT, "tuesday"), ("monday", UNKNOWN_BOOT), (UNKNOWN_BOOT, UNKNOWN_BOOT)] {
        let marked = Marked::new(then, Durability::Process, 20, 10);
        assert!(matches!(marked.check(now, 19), Err(StoreFault::Behind { .. })), "{then}, {now}");
    }
}

#[test]
fn a_mark_that_is_not_there_or_makes_no_sense_is_a_warning_beside_a_ledger() {
    let marked = Marked { folder: tempfile::tempdir().unwrap() };
    assert!(matches!(marked.check("monday", 0), Ok(None)), "a new ledger");
    assert!(marked.check("monday", 5).unwrap().unwrap().contains("was not there"));
    assert!(!marked.open("monday", Durability::Process).expects_a_ledger());
    for text in
        ["\0\0\0\0", "change", "change 5 safe x durability process boot a", "change 1 safe 1\n", "\u{ff}"]
    {
        std::fs::write(marked.path(), text).unwrap();
        assert!(marked.check("monday", 5).unwrap().unwrap().contains("could not be read"), "{text:?}");
        assert!(marked.open("monday", Durability::Process).expects_a_ledger(), "{text:?}");
    }
}

#[test]
fn a_mark_that_was_only_looked_at_stays_as_it_was() {
    let marked = Marked::new("monday", Durability::Disk, 20, 10);
    let before = std::fs::read(marked.path()).unwrap();
    drop(marked.open("tuesday", Durability::Process));
    assert_eq!(std::fs::read(marked.path()).unwrap(), before);
}

#[test]
fn a_shorter_line_hides_what_is_left_of_a_longer_one() {
    let marked = Marked::new("a-boot-with-a-long-name", Durability::Process, 20, 10);
    marked.open("b", Durability::Disk).set(21);
    assert_eq!(
        marked.open("b", Durability::Disk).found,
        Found::Line { seq: 21, safe_seq: 0, durability: Durability::Disk, boot: "b".to_owned() }
    );
}

#[test]
fn a_ledger_that_lost_changes_while_it_is_open_is_not_gone_on_with() {
    let marked = Marked::new("monday", Durability::Process, 20, 10);
    let mut mark = marked.open("tuesday", Durability::Process);
    mark.set(25);
    assert!(matches!(mark.check(Path::new("ledger.db"), 24), Err(StoreFault::Behind { committed: 25, .. })));
}
