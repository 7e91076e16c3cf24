//! A trail on its own: its order, its bound, its end.

use std::sync::atomic::AtomicUsize;

use super::*;

#[derive(Debug, Default)]
struct Counted(AtomicUsize);

impl Audience for Counted {
    fn ended(&self, record: &Arc<Record>) {
        assert!(record.end().is_some());
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn begin(audience: &Arc<Counted>) -> Trail {
    let beginning = Beginning {
        id: RequestId::new(),
        arrived: Instant::now(),
        address: std::net::IpAddr::from([127, 0, 0, 1]),
        client_request_id: None,
        trace: None,
    };
    Trail::begin(beginning, Arc::clone(audience) as Arc<dyn Audience>)
}

#[test]
fn a_request_ends_once_with_the_last_of_its_handles() {
    let audience = Arc::new(Counted::default());
    let trail = begin(&audience);
    let record = Arc::clone(trail.record());
    let others: Vec<Trail> = (0..8).map(|_| trail.clone()).collect();
    drop(trail);
    assert_eq!(record.end(), None);
    std::thread::scope(|scope| {
        for other in others {
            scope.spawn(move || {
                other.note(Step::Committed);
            });
        }
    });
    assert_eq!(audience.0.load(Ordering::Relaxed), 1);
    assert!(!record.end().unwrap().panicked);
    assert_eq!(record.read(|steps, _| steps.len()), 8);
}

#[test]
fn beyond_the_bound_steps_are_counted_and_the_end_is_still_kept() {
    let audience = Arc::new(Counted::default());
    let trail = begin(&audience);
    for bytes in 0..STEPS_MAX + 5 {
        trail.note(Step::BodyRead { bytes });
    }
    trail.note(Step::Answered { status: 200 });
    trail.record().read(|steps, left_out| {
        assert_eq!((steps.len(), left_out), (STEPS_MAX + 1, 5));
        assert_eq!(steps.last().map(|noted| &noted.step), Some(&Step::Answered { status: 200 }));
        assert!(steps.is_sorted_by_key(|noted| noted.at));
    });
}

#[test]
fn a_panic_is_told_from_an_ordinary_end() {
    let audience = Arc::new(Counted::default());
    let trail = begin(&audience);
    let record = Arc::clone(trail.record());
    let handler = std::panic::AssertUnwindSafe(move || {
        let _trail = trail;
        std::panic::resume_unwind(Box::new("handler"));
    });
    assert!(std::panic::catch_unwind(handler).is_err());
    assert!(record.end().unwrap().panicked);
}

#[test]
fn the_upstream_gets_the_span_of_its_attempt_and_nothing_without_traces() {
    let audience = Arc::new(Counted::default());
    assert_eq!(begin(&audience).traceparent(), None);
    let trace = TraceContext::of(&http::HeaderMap::new(), 1, |_| true);
    let beginning = Beginning {
        id: RequestId::new(),
        arrived: Instant::now(),
        address: std::net::IpAddr::from([127, 0, 0, 1]),
        client_request_id: None,
        trace: Some(trace),
    };
    let trail = Trail::begin(beginning, audience);
    let [provider, key, model] = ["p", "k", "m"].map(Arc::<str>::from);
    trail.note(Step::Leased { provider, key, model, attempt: 1 });
    assert_eq!(trail.traceparent(), trace.traceparent(1));
}
