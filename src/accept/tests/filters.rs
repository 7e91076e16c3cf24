//! A warp filter as the service, with a body read under its limits: the way the program uses both.

use std::sync::Arc;

use hyper_util::service::TowerToHyperService;
use warp::Filter;
use warp::reply::Response as Reply;

use super::*;
use crate::body::{BodyFault, BodyLimits, BufferBudget, read_body};

fn panic_reply(_: &Panicked<'_>) -> Reply {
    http::Response::new("panicked".into())
}

async fn connect(limits: BodyLimits, budget: Arc<BufferBudget>) -> RawClient {
    let route = warp::any()
        .and(warp::ext::get::<Peer>())
        .and(warp::header::optional::<u64>("content-length"))
        .and(warp::body::stream())
        .then(move |peer: Peer, length, stream| {
            let budget = Arc::clone(&budget);
            async move {
                assert!(peer.0.ip().is_loopback());
                let (status, text) = match read_body(stream, length, &limits, &budget).await {
                    Ok(body) => (200, body.bytes().len().to_string()),
                    Err(fault @ BodyFault::TooLarge { .. }) => (413, fault.to_string()),
                    Err(fault @ BodyFault::TooSlow { .. }) => (408, fault.to_string()),
                    Err(fault @ BodyFault::NoRoom { .. }) => (503, fault.to_string()),
                    Err(fault @ BodyFault::Broken) => (400, fault.to_string()),
                };
                http::Response::builder().status(status).body(text)
            }
        })
        .boxed();
    let door = Door::bind(SocketAddr::from(([127, 0, 0, 1], 0)), false).unwrap();
    let address = door.address().unwrap();
    tokio::spawn(serve(
        door,
        TowerToHyperService::new(warp::service(route)),
        panic_reply,
        || PATIENT,
        CancellationToken::new(),
        CancellationToken::new(),
    ));
    RawClient(TcpStream::connect(address).await.unwrap())
}

const LIMITS: BodyLimits =
    BodyLimits { max_body_bytes: 1_000_000, max_buffered_bytes: 2_000_000, body_timeout: NEVER };

fn post(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n")
}

#[tokio::test]
async fn a_body_at_its_limit_is_read_and_its_connection_goes_on() {
    let budget = Arc::new(BufferBudget::default());
    let mut client = connect(LIMITS, Arc::clone(&budget)).await;
    for length in [0, 5, 1_000_000] {
        client.send(post(length)).await;
        client.send(vec![b'x'; length]).await;
        assert_eq!(client.answer().await.body, length.to_string());
    }
    assert_eq!(budget.in_use(), 0);
}

#[tokio::test]
async fn a_chunked_body_above_its_limit_is_413_to_a_client_that_is_still_sending() {
    let mut client = connect(LIMITS, Arc::default()).await;
    client.send("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    for _ in 0..100 {
        client.send(&chunk).await;
    }
    assert_eq!(client.answer().await.status, 413);
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn a_dripped_body_is_408() {
    let body_timeout = Duration::from_millis(50);
    let limits = BodyLimits { body_timeout, ..LIMITS };
    let mut client = connect(limits, Arc::default()).await;
    client.send(post(10)).await;
    client.send("abc").await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 408);
    assert_eq!(answer.headers["connection"], "close");
}

#[tokio::test]
async fn a_body_with_a_broken_chunk_is_400() {
    let mut client = connect(LIMITS, Arc::default()).await;
    client.send("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n").await;
    assert_eq!(client.answer().await.status, 400);
    assert_eq!(client.rest().await, b"");
}
