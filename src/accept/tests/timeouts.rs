//! Each clock of a connection: what it cuts and what it leaves alone.

use super::*;

const SHORT: Duration = Duration::from_millis(150);

fn header_timeout(header_timeout: Duration) -> ConnectionSettings {
    ConnectionSettings { header_timeout, ..PATIENT }
}

#[tokio::test]
async fn a_connection_that_has_sent_nothing_yet_idles_like_any_other() {
    let keep_alive = SHORT * 4;
    let server = Server::start(ConnectionSettings { header_timeout: SHORT, keep_alive, ..PATIENT }).await;
    let start = Instant::now();
    let elapsed = server.connect().await.closed_after(start).await;
    assert!(ran_out(elapsed, keep_alive), "after {elapsed:?}");
}

/// Sends the start of a head byte by byte until the server closes.
async fn drip(client: RawClient) -> Duration {
    let start = Instant::now();
    let (mut reader, mut writer) = client.0.into_split();
    let dripping = tokio::spawn(async move {
        for byte in b"GET / HTTP/1.1\r\nx-".iter().chain([b'a'; 1000].iter()) {
            sleep(Duration::from_millis(5)).await;
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
    });
    let mut rest = Vec::new();
    let _ = within(reader.read_to_end(&mut rest)).await;
    assert_eq!(rest, b"");
    dripping.abort();
    start.elapsed()
}

#[tokio::test]
async fn a_dripped_head_is_cut() {
    let server = Server::start(header_timeout(SHORT)).await;
    let elapsed = drip(server.connect().await).await;
    assert!(ran_out(elapsed, SHORT), "after {elapsed:?}");
}

#[tokio::test]
async fn a_dripped_head_after_a_request_is_cut_by_the_header_clock() {
    let server = Server::start(header_timeout(SHORT)).await;
    let mut client = server.connect().await;
    assert_eq!(client.get("/a").await.status, 200);
    let elapsed = drip(client).await;
    assert!(ran_out(elapsed, SHORT), "after {elapsed:?}");
}

#[tokio::test]
async fn a_connection_between_requests_lives_by_keep_alive_and_not_by_the_header_clock() {
    let keep_alive = SHORT * 4;
    let server = Server::start(ConnectionSettings { header_timeout: SHORT, keep_alive, ..PATIENT }).await;
    let mut client = server.connect().await;
    assert_eq!(client.get("/a").await.status, 200);
    let elapsed = client.closed_after(Instant::now()).await;
    assert!(ran_out(elapsed, keep_alive), "after {elapsed:?}");
}

#[tokio::test]
async fn each_request_starts_keep_alive_anew() {
    let keep_alive = SHORT * 2;
    let server = Server::start(ConnectionSettings { keep_alive, ..PATIENT }).await;
    let mut client = server.connect().await;
    for _ in 0..4 {
        assert_eq!(client.get("/a").await.status, 200);
        // Time must pass here for the clock to be at stake: in all more than one keep_alive.
        sleep(keep_alive / 3).await;
    }
    assert_eq!(client.get("/a").await.status, 200);
    let elapsed = client.closed_after(Instant::now()).await;
    assert!(ran_out(elapsed, keep_alive), "after {elapsed:?}");
}

#[tokio::test]
async fn no_clock_of_the_connection_runs_while_a_handler_works() {
    let mut server = Server::start(ConnectionSettings {
        header_timeout: SHORT / 10,
        keep_alive: SHORT / 10,
        write_timeout: SHORT / 10,
        ..PATIENT
    })
    .await;
    let mut client = server.connect().await;
    client.send("GET /hang HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(server.event().await, Event::Began("/hang".into()));
    // The absence of an event can only be seen over time.
    assert!(timeout(SHORT, server.events.recv()).await.is_err());
}

#[tokio::test]
async fn a_client_that_stops_reading_is_cut_and_its_answer_dropped() {
    let mut server = Server::start(ConnectionSettings { write_timeout: SHORT, ..PATIENT }).await;
    let mut client = server.connect().await;
    client.send("GET /flood HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let start = Instant::now();
    assert_eq!(server.event().await, Event::Began("/flood".into()));
    assert_eq!(server.event().await, Event::Dropped("/flood".into()));
    assert!(ran_out(start.elapsed(), SHORT), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_not_cut() {
    let mut server = Server::start(ConnectionSettings { write_timeout: SHORT, ..PATIENT }).await;
    let mut client = server.connect().await;
    client.send("GET /flood HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(server.event().await, Event::Began("/flood".into()));
    let start = Instant::now();
    let mut room = vec![0; 1024 * 1024];
    // Every few milliseconds it takes a little, for longer than the clock.
    while start.elapsed() < SHORT * 3 {
        sleep(SHORT / 10).await;
        assert!(within(client.0.read(&mut room)).await.unwrap() > 0);
    }
    assert!(server.events.try_recv().is_err());
}

#[tokio::test]
async fn a_quiet_answer_is_not_taken_for_a_client_that_stops_reading() {
    let mut server = Server::start(ConnectionSettings { write_timeout: SHORT / 10, ..PATIENT }).await;
    let mut client = server.connect().await;
    client.send("GET /quiet HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(server.event().await, Event::Began("/quiet".into()));
    assert!(timeout(SHORT, server.events.recv()).await.is_err());
}

#[tokio::test]
async fn the_longest_timeouts_that_can_be_written_mean_never() {
    let server = Server::start(ConnectionSettings {
        header_timeout: Duration::MAX,
        keep_alive: Duration::MAX,
        write_timeout: Duration::MAX,
        ..PATIENT
    })
    .await;
    let mut client = server.connect().await;
    assert_eq!(client.get("/a").await.status, 200);
    assert_eq!(client.get("/b").await.status, 200);
}
