//! The rings and the feed on their own.

use tokio::time::Instant;

use super::*;
use crate::request_id::RequestId;
use crate::trail::{Audience, Beginning, Step, Trail};

#[derive(Debug)]
struct Nobody;

impl Audience for Nobody {
    fn ended(&self, _: &Arc<Record>) {}
}

fn trail() -> Trail {
    let beginning = Beginning {
        id: RequestId::new(),
        arrived: Instant::now(),
        address: std::net::IpAddr::from([127, 0, 0, 1]),
        client_request_id: None,
        trace: None,
    };
    Trail::begin(beginning, Arc::new(Nobody))
}

#[test]
fn the_newest_are_kept_and_found_by_their_number() {
    let ring = Ring::new(200);
    let trails: Vec<Trail> = (0..500).map(|_| trail()).collect();
    for trail in &trails {
        ring.push(trail.record());
    }
    for (place, trail) in trails.iter().enumerate() {
        let found = ring.find(trail.record().id().number());
        assert_eq!(found.is_some(), place >= 300, "{place}");
    }
    let newest = ring.newest(usize::MAX, &mut |_| true);
    assert_eq!(newest.len(), 200);
    assert!(newest.iter().zip(trails.iter().rev()).all(|(kept, trail)| Arc::ptr_eq(kept, trail.record())));
}

#[test]
fn a_reader_that_filters_stops_at_its_limit() {
    let log = RequestLog::default();
    for bytes in 0..300 {
        let trail = trail();
        trail.note(Step::BodyRead { bytes });
        if bytes % 2 == 0 {
            log.keep(trail.record());
        } else {
            log.keep_strangers(trail.record());
        }
    }
    let bytes_of = |record: &Record| {
        record.read(|steps, _| match steps[0].step {
            Step::BodyRead { bytes } => bytes,
            _ => unreachable!("only bodies were noted"),
        })
    };
    let found = log.newest(4, |record| bytes_of(record) % 3 == 0);
    assert_eq!(found.iter().map(|record| bytes_of(record)).collect::<Vec<_>>(), [297, 294, 291, 288]);
}

#[tokio::test(start_paused = true)]
async fn after_an_hour_a_request_is_forgotten() {
    let ring = Ring::new(200);
    let old: Vec<Trail> = (0..10).map(|_| trail()).collect();
    for trail in &old {
        ring.push(trail.record());
    }
    tokio::time::advance(KEPT_FOR + Duration::from_secs(1)).await;
    assert!(ring.find(old[0].record().id().number()).is_none());
    assert!(ring.newest(10, &mut |_| true).is_empty());
    for _ in 0..10 {
        ring.push(trail().record());
    }
    assert_eq!(ring.kept().records.len(), 10, "the old ones are out of memory");
}

#[tokio::test]
async fn a_slow_reader_is_told_how_many_it_missed_and_none_costs_nothing() {
    let log = RequestLog::default();
    log.ended(trail().record());
    let mut feed = log.watch();
    for _ in 0..FEED_MAX + 3 {
        log.ended(trail().record());
    }
    assert!(matches!(feed.next().await, Some(Fed::Missed(3))));
    assert!(matches!(feed.next().await, Some(Fed::Ended(_))));
    drop(feed);
    assert_eq!(log.readers.load(Ordering::Relaxed), 0);
    assert_eq!(log.count(), FEED_MAX as u64 + 4);
}

/// Optimised it is 0.6 to 1.0 µs with ten steps, the metrics not counted; this is an unoptimised build on a machine that
/// may be busy.
#[test]
fn a_request_pays_microseconds_for_its_trail_and_its_place() {
    let log = RequestLog::default();
    let rounds = 20_000_u32;
    let start = std::time::Instant::now();
    for _ in 0..rounds {
        let trail = trail();
        log.keep(trail.record());
        for _ in 0..8 {
            trail.note(Step::Committed);
        }
    }
    let each = start.elapsed() / rounds;
    assert!(each < Duration::from_micros(100), "{each:?}");
}
