//! The orderly end: who is let finish, who is sent away, who is cut.

use super::*;

#[tokio::test]
async fn stopping_closes_idle_connections_and_the_listener_at_once() {
    let server = Server::start(PATIENT).await;
    let address = server.address;
    let mut used = server.connect().await;
    assert_eq!(used.get("/a").await.status, 200);
    // A request with a body read to its end leaves nothing to linger for.
    used.send("POST /read HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\nabc").await;
    assert_eq!(used.answer().await.body, "3");
    let mut fresh = server.connect().await;

    let start = Instant::now();
    server.stop.cancel();
    assert_eq!(used.rest().await, b"");
    assert_eq!(fresh.rest().await, b"");
    server.ended().await;
    assert!(start.elapsed() < Duration::from_millis(900));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn stopping_lets_a_running_request_finish_and_then_closes_its_connection() {
    let server = Server::start(PATIENT).await;
    let mut client = server.connect().await;
    client.send("POST /read HTTP/1.1\r\nhost: test\r\ncontent-length: 6\r\n\r\nabc").await;
    let mut idle = server.connect().await;
    assert_eq!(idle.get("/a").await.status, 200);

    server.stop.cancel();
    // Idle connections go first: the stop has arrived everywhere.
    assert_eq!(idle.rest().await, b"");
    client.send("def").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "6"));
    assert_eq!(answer.headers["connection"], "close");
    assert_eq!(client.rest().await, b"");
    server.ended().await;
}

#[tokio::test]
async fn killing_closes_what_is_left() {
    let mut server = Server::start(PATIENT).await;
    let mut client = server.connect().await;
    client.send("GET /hang HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(server.event().await, Event::Began("/hang".into()));
    server.stop.cancel();
    server.kill.cancel();
    assert_eq!(server.event().await, Event::Dropped("/hang".into()));
    assert_eq!(client.rest().await, b"");
    server.ended().await;
}

#[tokio::test]
async fn dropping_the_server_drops_its_connections() {
    let mut server = Server::start(PATIENT).await;
    let mut client = server.connect().await;
    client.send("GET /hang HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(server.event().await, Event::Began("/hang".into()));
    server.serving.abort();
    assert_eq!(server.event().await, Event::Dropped("/hang".into()));
    assert_eq!(client.rest().await, b"");
}
