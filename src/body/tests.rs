use futures_util::stream;
use proptest::prelude::*;
use tokio::time::timeout;

use super::*;

const LIMITS: BodyLimits =
    BodyLimits { max_body_bytes: 100, max_buffered_bytes: 1_000, body_timeout: Duration::from_secs(600) };

type Piece = Result<Bytes, &'static str>;

fn pieces(texts: &[&'static str]) -> impl Stream<Item = Piece> + use<> {
    let pieces: Vec<Piece> = texts.iter().map(|text| Ok(Bytes::from(*text))).collect();
    stream::iter(pieces)
}

/// A stream that must not be read.
fn untouchable() -> impl Stream<Item = Piece> {
    stream::poll_fn(|_| panic!("the body was read"))
}

#[tokio::test]
async fn a_body_in_one_piece_is_the_very_same_memory() {
    let budget = Arc::new(BufferBudget::default());
    let piece = Bytes::from(b"hello".to_vec());
    let at = piece.as_ptr();
    let body = read_body(stream::iter([Piece::Ok(piece)]), Some(5), &LIMITS, &budget).await.unwrap();
    assert_eq!(body.bytes(), "hello");
    assert_eq!(body.bytes().as_ptr(), at);
    assert_eq!(budget.in_use(), 5);
}

#[tokio::test]
async fn a_body_of_no_bytes_is_empty() {
    let budget = Arc::new(BufferBudget::default());
    for texts in [[].as_slice(), &[""], &["", ""]] {
        let body = read_body(pieces(texts), None, &LIMITS, &budget).await.unwrap();
        assert_eq!(body.bytes(), "");
    }
}

#[tokio::test]
async fn a_body_announced_too_large_is_refused_unread() {
    let budget = Arc::new(BufferBudget::default());
    let fault = read_body(untouchable(), Some(101), &LIMITS, &budget).await;
    assert_eq!(fault.unwrap_err(), BodyFault::TooLarge { limit: 100 });
    assert_eq!(budget.in_use(), 0);
}

#[tokio::test]
async fn a_body_that_grows_too_large_is_refused_whatever_it_announced() {
    let budget = Arc::new(BufferBudget::default());
    let tens = vec!["0123456789"; 11];
    for announced in [None, Some(10)] {
        let fault = read_body(pieces(&tens), announced, &LIMITS, &budget).await;
        assert_eq!(fault.unwrap_err(), BodyFault::TooLarge { limit: 100 });
    }
    let body = read_body(pieces(&tens[..10]), None, &LIMITS, &budget).await.unwrap();
    assert_eq!(body.bytes().len(), 100);
}

#[tokio::test]
async fn a_body_without_room_in_the_budget_is_refused_unread_and_fits_when_there_is_room() {
    let budget = Arc::new(BufferBudget::default());
    let limits = BodyLimits { max_buffered_bytes: 12, ..LIMITS };
    let held = read_body(pieces(&["0123456789"]), Some(10), &limits, &budget).await.unwrap();
    let fault = read_body(untouchable(), Some(3), &limits, &budget).await;
    assert_eq!(fault.unwrap_err(), BodyFault::NoRoom { limit: 12 });
    let fault = read_body(pieces(&["ab", "c"]), None, &limits, &budget).await;
    assert_eq!(fault.unwrap_err(), BodyFault::NoRoom { limit: 12 });
    assert_eq!(budget.in_use(), 10);

    drop(held);
    assert_eq!(budget.in_use(), 0);
    let body = read_body(pieces(&["abc"]), Some(3), &limits, &budget).await;
    assert_eq!(body.unwrap().bytes(), "abc");
}

#[tokio::test]
async fn a_stalled_body_is_too_slow_and_gives_its_bytes_back() {
    let budget = Arc::new(BufferBudget::default());
    let body_timeout = Duration::from_millis(50);
    let limits = BodyLimits { body_timeout, ..LIMITS };
    let stalled = pieces(&["a", "b"]).chain(stream::pending());
    let start = Instant::now();
    let fault = read_body(stalled, Some(10), &limits, &budget).await;
    assert_eq!(fault.unwrap_err(), BodyFault::TooSlow { timeout: body_timeout });
    assert!(start.elapsed() >= body_timeout);
    assert_eq!(budget.in_use(), 0);
}

#[test]
fn the_time_counts_between_pieces_and_a_drip_ends_all_the_same() {
    let start = Instant::now();
    let body_timeout = Duration::from_secs(30);
    let left = |after: u64, length| {
        let now = start + Duration::from_secs(after);
        (deadline(start, now, length, body_timeout) - start).as_secs()
    };
    assert_eq!(left(0, 0), 30);
    assert_eq!(left(100, 4), 130);
    // A byte every 29 s has had enough after five minutes …
    assert_eq!(left(290, 10), 300);
    // … and a slow line has not: 1 MiB in five minutes earns 256 s more.
    assert_eq!(left(300, 1024 * 1024), 330);
    assert_eq!(left(550, 1024 * 1024), 556);
    // The longest timeout that can be written is no overflow.
    assert!(deadline(start, start, 0, Duration::MAX) > start);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_broken_and_gives_its_bytes_back() {
    let budget = Arc::new(BufferBudget::default());
    let broken = pieces(&["a", "b"]).chain(stream::iter([Piece::Err("reset")]));
    let fault = read_body(broken, Some(10), &LIMITS, &budget).await;
    assert_eq!(fault.unwrap_err(), BodyFault::Broken);
    assert_eq!(budget.in_use(), 0);
}

#[tokio::test]
async fn a_reader_that_is_dropped_gives_its_bytes_back() {
    let budget = Arc::new(BufferBudget::default());
    let stalled = pieces(&["a", "b"]).chain(stream::pending());
    let reading = read_body(stalled, Some(10), &LIMITS, &budget);
    assert!(timeout(Duration::from_millis(5), reading).await.is_err());
    assert_eq!(budget.in_use(), 0);
}

#[tokio::test]
async fn announcing_much_and_sending_little_holds_little() {
    const GIB: u64 = 1 << 30;
    let budget = Arc::new(BufferBudget::default());
    let limits = BodyLimits { max_body_bytes: GIB, max_buffered_bytes: GIB, ..LIMITS };
    for (texts, held) in [(&[][..], FIRST_SHARE), (&["a"], FIRST_SHARE), (&["a", "b"], FIRST_CAPACITY)] {
        let stalled = pieces(texts).chain(stream::pending());
        let mut reading = pin!(read_body(stalled, Some(GIB), &limits, &budget));
        assert!(futures_util::poll!(reading.as_mut()).is_pending());
        assert_eq!(budget.in_use(), held);
    }
}

/// Some bytes, where to cut them, and how much to announce.
fn cut_body() -> impl Strategy<Value = (Vec<u8>, Vec<usize>, Option<u64>)> {
    (
        proptest::collection::vec(any::<u8>(), 0..5_000),
        proptest::collection::vec(1..700usize, 0..40),
        proptest::option::of(0..6_000u64),
    )
}

proptest! {
    #[test]
    fn any_cut_of_a_body_gives_the_body_or_its_limit((bytes, cuts, announced) in cut_body()) {
        let mut rest = Bytes::from(bytes.clone());
        let mut pieces = Vec::new();
        for cut in cuts {
            pieces.push(rest.split_to(cut.min(rest.len())));
        }
        pieces.push(rest);
        let limits = BodyLimits { max_body_bytes: 4_000, max_buffered_bytes: 4_000, ..LIMITS };
        let budget = Arc::new(BufferBudget::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let stream = stream::iter(pieces.into_iter().map(Piece::Ok));
        let outcome = runtime.block_on(read_body(stream, announced, &limits, &budget));

        let fits = bytes.len() as u64 <= 4_000 && announced.unwrap_or(0) <= 4_000;
        match outcome {
            Ok(body) => {
                prop_assert!(fits);
                prop_assert_eq!(body.bytes().as_ref(), &bytes[..]);
                prop_assert!(budget.in_use() >= bytes.len() as u64);
                prop_assert!(budget.in_use() <= 4_000);
                drop(body);
            }
            Err(fault) => {
                prop_assert!(!fits);
                prop_assert_eq!(fault, BodyFault::TooLarge { limit: 4_000 });
            }
        }
        prop_assert_eq!(budget.in_use(), 0);
    }
}
