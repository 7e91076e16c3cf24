//! Random damage to good requests. The seed is printed when it finds something; `GATEWAY_FUZZ_SEED` repeats it.

use futures_util::StreamExt;
use futures_util::stream;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde::de::IgnoredAny;

use super::*;

/// Requests whose every byte may be damaged: each needs a connection of its own.
const DAMAGED_REQUESTS: u64 = 3_000;

/// Requests whose body alone is damaged: these share connections.
const DAMAGED_BODIES: u64 = 4_000;

/// Connections at once.
const AT_ONCE: usize = 128;

/// Pieces that parsers trip over.
const PIECES: [&[u8]; 44] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"/",
    b"//",
    b"/../",
    b"%2e%2e%2f",
    b"%00",
    b"?",
    b"#",
    b"*",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"HTTP/1.1\r\n",
    b"http://a/",
    b"content-length: 0\r\n",
    b"content-length: 18446744073709551615\r\n",
    b"transfer-encoding: chunked\r\n",
    b"expect: 100-continue\r\n",
    b"connection: close\r\n",
    b"upgrade: h2c\r\n",
    b"authorization: Bearer key-ada\r\n",
    b"0\r\n\r\n",
    b"ffffffff\r\n",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"[[[[[[[[",
    b"}",
    b"NaN",
    b"-1e999",
    b"\"model\":",
    b"99999999999999999999",
];

fn seed() -> u64 {
    match std::env::var("GATEWAY_FUZZ_SEED") {
        Ok(seed) => seed.parse().expect("GATEWAY_FUZZ_SEED is a number"),
        Err(_) => rand::random(),
    }
}

/// Good requests, of every surface and form.
fn good_requests() -> Vec<Vec<u8>> {
    let chat = |stream: bool| {
        let mut body = good_body("/v1/chat/completions");
        body["stream"] = json!(stream);
        body["max_tokens"] = json!(5);
        body.to_string()
    };
    let seed =
        json!({"prompt": "hello", "provider": "echo", "model": "echo", "temperature": 0.5}).to_string();
    let chunked = format!("{:x}\r\n{1}\r\n0\r\n\r\n", chat(false).len(), chat(false));
    let get = |path: &str| Request::get(path).header("x-api-key", "key-ada").bytes().to_vec();
    let good = [
        post("/v1/chat/completions").body(chat(false)).bytes().to_vec(),
        post("/openai/v1/chat/completions").body(chat(true)).bytes().to_vec(),
        post("/api/v1/generate").body(seed).bytes().to_vec(),
        (head("/v1/chat/completions", "transfer-encoding: chunked") + &chunked).into_bytes(),
        get("/v1/models/echo"),
        Request::new("HEAD", "/health").bytes().to_vec(),
        Request::new("OPTIONS", "/v1/models").header("origin", "https://a.example").bytes().to_vec(),
        get("/admin/tree"),
        http2_request(),
    ];
    // Each alone, and two in one write.
    let pairs = good.iter().zip(good.iter().skip(1)).map(|(one, other)| [&one[..], other].concat());
    good.iter().cloned().chain(pairs).collect()
}

/// `GET /` of HTTP/2 with prior knowledge: the preface, empty SETTINGS, and HEADERS of four indexed or literal fields
/// (RFC 9113, 6.2 and 6.5; RFC 7541, appendix A).
fn http2_request() -> Vec<u8> {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let fields = [0x82, 0x86, 0x84, 0x41, 1, b'a'];
    let headers = [0, 0, fields.len() as u8, 1, 0b101, 0, 0, 0, 1];
    [&preface[..], &settings, &headers, &fields].concat()
}

/// One to four changes, wherever they fall.
fn damage(random: &mut StdRng, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..=bytes.len());
        let end = (at + random.random_range(0..20)).min(bytes.len());
        match random.random_range(0..8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = random.random(),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.truncate(at),
            4 => {
                let copy = bytes[at..end].repeat(random.random_range(1..50));
                bytes.splice(at..at, copy);
            }
            5 => {
                let other = others.choose(random).expect("there are some");
                let from = random.random_range(0..other.len());
                bytes.splice(at..end, other[from..].iter().copied());
            }
            _ => {
                let piece = PIECES.choose(random).expect("there are some");
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
}

#[track_caller]
fn assert_a_proper_answer(answer: &Answer, seed: u64, sent: &[u8]) {
    let reads_bodies = reads_as_it_was_sent(sent);
    let shown = String::from_utf8_lossy(sent);
    let is_proper = matches!(answer.status, 200..=299 | 400..=499);
    assert!(is_proper, "GATEWAY_FUZZ_SEED={seed}: {} {}\nto {shown:?}", answer.status, answer.text());
    if answer.status >= 400 && !answer.body.is_empty() && reads_bodies {
        // By the grammar: what is repeated of the request may be a number or a surrogate that no type holds.
        let json: Result<IgnoredAny, _> = serde_json::from_slice(&answer.body);
        assert!(json.is_ok(), "GATEWAY_FUZZ_SEED={seed}: {}\nto {shown:?}", answer.text());
    }
}

/// Sends it, and reads until the gateway closes, as it does when nothing more comes.
async fn send_damaged(gateway: &TestGateway, seed: u64, bytes: &[u8]) {
    let mut client = gateway.connect().await;
    // It may be refused before it has come in full.
    let _ = client.write(bytes).await;
    loop {
        match client.try_answer().await {
            Ok(Some(answer)) => assert_a_proper_answer(&answer, seed, bytes),
            Ok(None) => break,
            Err(fault) if fault.kind() == std::io::ErrorKind::InvalidData && reads_as_it_was_sent(bytes) => {
                panic!("GATEWAY_FUZZ_SEED={seed}: {fault}\nto {:?}", String::from_utf8_lossy(bytes))
            }
            Err(_) => break,
        }
    }
}

/// Whether this client reads the answers as they are meant: not those of HTTP/2, and after HEAD it takes the next
/// answer for the body of the last.
fn reads_as_it_was_sent(bytes: &[u8]) -> bool {
    !bytes.starts_with(b"PRI ") && !bytes.windows(5).any(|window| window == b"HEAD ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_request_gets_a_4xx_or_its_answer_or_a_closed_connection() {
    let toml = "[server]\nheader_timeout = \"150ms\"\nbody_timeout = \"150ms\"\nkeep_alive = \"150ms\"\n";
    let (upstream, gateway) = gateway(toml).await;
    let good = good_requests();
    let (first, gateway_ref, good_ref) = (seed(), &gateway, &good);
    let cases = (0..DAMAGED_REQUESTS).map(async |n| {
        let seed = first.wrapping_add(n);
        let mut random = StdRng::seed_from_u64(seed);
        let mut bytes = good_ref.choose(&mut random).expect("there are some").clone();
        damage(&mut random, &mut bytes, good_ref);
        send_damaged(gateway_ref, seed, &bytes).await;
    });
    stream::iter(cases).buffer_unordered(AT_ONCE).collect::<()>().await;
    still_works(&gateway).await;
    gateway.is_quiet().await;
    assert_eq!(gateway.front().budget.in_use(), 0);
    assert!(upstream.in_flight() == 0);
    gateway.ends_quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_body_gets_a_4xx_or_its_answer_on_its_own_request() {
    let (_upstream, gateway) = gateway("").await;
    let first = seed();
    let bodies: Vec<Vec<u8>> =
        BODY_ROUTES.iter().map(|path| good_body(path).to_string().into_bytes()).collect();
    let (gateway_ref, bodies_ref) = (&gateway, &bodies);
    let connections = (0..8).map(async |worker| {
        let mut client = gateway_ref.connect().await;
        for n in (worker..DAMAGED_BODIES).step_by(8) {
            let seed = first.wrapping_add(n);
            let mut random = StdRng::seed_from_u64(seed);
            let mut body = bodies_ref.choose(&mut random).expect("there are some").clone();
            damage(&mut random, &mut body, bodies_ref);
            let path = BODY_ROUTES.choose(&mut random).expect("there are some");
            let number = n.to_string();
            let request = post(path).header("x-request-id", &number).body(body.clone());
            let answer = client.ask(&request).await;
            assert_a_proper_answer(&answer, seed, &body);
            assert_eq!(
                answer.header("x-client-request-id"),
                Some(number.as_str()),
                "GATEWAY_FUZZ_SEED={seed}"
            );
            if answer.status >= 400 {
                error_message(path, &answer);
            }
        }
    });
    futures_util::future::join_all(connections).await;
    still_works(&gateway).await;
    gateway.ends_quiet().await;
}
