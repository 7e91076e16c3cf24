//! The load generator against the fake upstream.

use super::*;
use crate::faults::Fault;
use crate::keys::UPSTREAM_KEY;
use crate::upstream::tests::serve_in_this_process;

fn direct(address: SocketAddr, key: &str) -> Target {
    let authorization = HeaderValue::from_str(&format!("Bearer {key}")).unwrap();
    Target { kind: TargetKind::Direct, address, pid: None, authorizations: Arc::new([authorization]) }
}

#[tokio::test]
async fn every_workload_is_answered_as_it_must_be_on_connections_that_stay_open() {
    let address = serve_in_this_process().await;
    for scenario in Scenario::ALL {
        let load = Arc::new(Load::new(direct(address, UPSTREAM_KEY), scenario));
        let (connections, first) = run_phase(Connection::several(3), &load, Duration::ZERO).await;
        assert_eq!((first.answered(), first.failed), (3, 0), "{scenario:?}: {:?}", first.first_failure);
        assert!(connections.iter().all(|connection| connection.sender.is_some()));
        let (_, second) = run_phase(connections, &load, Duration::ZERO).await;
        assert_eq!((second.answered(), second.failed), (3, 0), "{scenario:?}: {:?}", second.first_failure);
        assert!(second.per_second > 0.0);
    }
}

#[tokio::test]
async fn a_first_token_comes_before_the_gaps_of_its_stream() {
    let address = serve_in_this_process().await;
    let load = Load::new(direct(address, UPSTREAM_KEY), Scenario::Paced);
    let started = Instant::now();
    let mut connection = Connection { sender: None, next_key: 0, key_step: 1 };
    let latency = connection.ask(&load).await.unwrap();
    assert!(started.elapsed() >= Scenario::Paced.upstream_time());
    assert!(latency < started.elapsed() - Scenario::Paced.upstream_time() / 2);
}

#[tokio::test]
async fn a_client_that_leaves_has_the_first_token_and_no_connection() {
    let address = serve_in_this_process().await;
    let load = Load::new(direct(address, UPSTREAM_KEY), Scenario::Paced);
    let mut connection = Connection { sender: None, next_key: 0, key_step: 1 };
    let latency = connection.ask_and_leave(&load).await.unwrap();
    assert!(latency < Scenario::Paced.upstream_time() / 2);
    assert!(connection.sender.is_none());
}

#[tokio::test]
async fn at_a_fixed_rate_no_more_is_asked_than_it_says() {
    let address = serve_in_this_process().await;
    let load = Load::new(direct(address, UPSTREAM_KEY), Scenario::Plain);
    let load = Arc::new(load.paced(Pace::Every(Duration::from_millis(50))));
    let (_, tally) = run_phase(Connection::several(2), &load, Duration::from_millis(200)).await;
    assert_eq!(tally.failed, 0);
    assert!((2..=10).contains(&tally.answered()), "{}", tally.answered());
}

#[tokio::test]
async fn each_fault_of_the_upstream_is_one_to_its_client() {
    let address = serve_in_this_process().await;
    let patience = Duration::from_millis(100);
    for fault in [Fault::Error, Fault::Hang, Fault::Reset, Fault::Flood] {
        let body = Scenario::Plain.request_body_for(fault.model());
        let load = Load::new(direct(address, UPSTREAM_KEY), Scenario::Plain).asking(body);
        let load = if fault == Fault::Hang { load.with_patience(patience) } else { load };
        let mut connection = Connection { sender: None, next_key: 0, key_step: 1 };
        let failure = connection.ask(&load).await.unwrap_err();
        let is_right = match fault {
            Fault::Error => matches!(failure, Failure::Status(StatusCode::INTERNAL_SERVER_ERROR, _)),
            Fault::Hang => matches!(failure, Failure::TimedOut(_)),
            Fault::Reset | Fault::Flood => matches!(failure, Failure::Http(_)),
        };
        assert!(is_right, "{fault:?}: {failure}");
        assert_eq!(connection.sender.is_some(), fault == Fault::Error);
    }
}

#[tokio::test]
async fn a_wrong_key_is_a_failure_with_its_status() {
    let address = serve_in_this_process().await;
    let load = Load::new(direct(address, "somebody-elses"), Scenario::Plain);
    let failure = try_once(&load).await.unwrap_err();
    assert!(matches!(failure, Failure::Status(StatusCode::UNAUTHORIZED, _)), "{failure}");
}

#[tokio::test]
async fn an_answer_with_other_bytes_is_a_failure_that_says_where() {
    let address = serve_in_this_process().await;
    let mut load = Load::new(direct(address, UPSTREAM_KEY), Scenario::Stream);
    let mut other = String::from_utf8(load.expected.body().to_vec()).unwrap();
    other.replace_range(700..701, "~");
    load.expected = Expected::new(&other, "");
    let failure = try_once(&load).await.unwrap_err();
    assert!(matches!(failure, Failure::Differs { at: 700 }), "{failure}");
}

#[tokio::test]
async fn an_answer_that_ends_early_is_a_failure() {
    let address = serve_in_this_process().await;
    let mut load = Load::new(direct(address, UPSTREAM_KEY), Scenario::Plain);
    let body = String::from_utf8(load.expected.body().to_vec()).unwrap();
    load.expected = Expected::new(&body, "more");
    let failure = try_once(&load).await.unwrap_err();
    assert!(matches!(failure, Failure::Short { .. }), "{failure}");
}

#[tokio::test]
async fn a_target_that_is_down_is_tried_a_bounded_number_of_times() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let load = Arc::new(Load::new(direct(address, UPSTREAM_KEY), Scenario::Plain));
    let (_, tally) = run_phase(Connection::several(2), &load, ANSWER_LIMIT).await;
    assert_eq!((tally.answered(), tally.failed), (0, 2 * FAILURES_MAX));
}
