//! `[server.tls]`: what clients get over TLS, a pair that changes while the gateway runs, and pairs that are wrong.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use gateway_testkit::deadline::patiently;
use gateway_testkit::raw_client::{Closed, Request as Raw};
use gateway_testkit::test_gateway::{Builder, TempDir};
use gateway_testkit::{FakeUpstream, RawClient, Reply, TestGateway};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::commands::Folder;
use crate::program::{Program, command};

/// A certificate that signs itself, with its key.
struct Pair {
    certificate: String,
    der: CertificateDer<'static>,
    key: String,
}

impl Pair {
    fn new() -> Self {
        Self::made(2200, KeyPair::generate().unwrap())
    }

    fn until(year: i32) -> Self {
        Self::made(year, KeyPair::generate().unwrap())
    }

    fn made(year: i32, key: KeyPair) -> Self {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate: certificate.pem(), der: certificate.der().clone(), key: key.serialize_pem() }
    }

    /// Puts the pair in place as a renewal does it: each file whole.
    fn write(&self, folder: &Path) {
        for (name, text) in [("cert.pem", &self.certificate), ("key.pem", &self.key)] {
            let part = folder.join(format!("{name}.part"));
            std::fs::write(&part, text).unwrap();
            std::fs::rename(part, folder.join(name)).unwrap();
        }
    }
}

/// A client's side of a TLS connection.
type Stream = TlsStream<TcpStream>;

/// Connects as a client that trusts these certificates and offers this protocol.
async fn connect(address: &str, trusted: &[&Pair], protocol: &str) -> std::io::Result<Stream> {
    let mut roots = RootCertStore::empty();
    for pair in trusted {
        roots.add(pair.der.clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let tcp = TcpStream::connect(address).await?;
    let connector = TlsConnector::from(Arc::new(config));
    patiently("a handshake", connector.connect(ServerName::try_from("localhost").unwrap(), tcp)).await
}

/// The certificate that the gateway showed.
fn shown(stream: &Stream) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}

fn chat(stream: bool) -> Request<Full<Bytes>> {
    let body = json!({
        "model": "gpt-test", "stream": stream, "messages": [{"role": "user", "content": "hi"}],
    });
    let request = Request::post("https://localhost/v1/chat/completions").header("host", "localhost");
    let request =
        request.header("authorization", "Bearer key-ada").header("content-type", "application/json");
    request.body(Full::from(body.to_string())).unwrap()
}

/// One request over HTTP/1.1, on a connection of its own that is open for more.
async fn over_http1(stream: Stream, request: Request<Full<Bytes>>) -> Response<Incoming> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    patiently("an answer", sender.send_request(request)).await.unwrap()
}

/// One request over HTTP/2.
async fn over_http2(stream: Stream, request: Request<Full<Bytes>>) -> Response<Incoming> {
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    patiently("an answer", sender.send_request(request)).await.unwrap()
}

async fn text(answer: Response<Incoming>) -> String {
    let body = patiently("the body", answer.into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// A gateway that shows a pair out of a folder beside its own.
fn with_pair(upstream: &FakeUpstream, pair: &Pair, more: &str) -> (TempDir, Builder) {
    let folder = TempDir::new().unwrap();
    pair.write(folder.path());
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let tls =
        format!("[server]\n{more}\n[server.tls]\ncert = '{}'\nkey = '{}'\n", cert.display(), key.display());
    let gateway = TestGateway::with(upstream).toml(&tls).client("ada", json!({}));
    (folder, gateway)
}

async fn reload(gateway: &TestGateway, pair: &Pair) -> (u16, String) {
    let stream = connect(gateway.address(), &[pair], "http/1.1").await.unwrap();
    let request = Request::post("https://localhost/admin/reload").header("host", "localhost");
    let request = request.header("authorization", format!("Bearer {}", gateway.admin_token()));
    let answer = over_http1(stream, request.body(Full::default()).unwrap()).await;
    (answer.status().as_u16(), text(answer).await)
}

#[tokio::test]
async fn http1_and_http2_are_served_over_tls_as_the_client_chooses() {
    let (upstream, pair) = (FakeUpstream::start().await, Pair::new());
    let (_folder, builder) = with_pair(&upstream, &pair, "");
    let gateway = builder.start().await;
    upstream.always(Reply::stream(["a", "b", "c"]));
    for protocol in ["http/1.1", "h2"] {
        let stream = connect(gateway.address(), &[&pair], protocol).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        let answer = match protocol {
            "h2" => over_http2(stream, chat(true)).await,
            _ => over_http1(stream, chat(true)).await,
        };
        assert_eq!(answer.status(), 200);
        let text = text(answer).await;
        assert!(text.trim_end().ends_with("data: [DONE]"), "{protocol}: {text}");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn keys_of_all_common_kinds_are_taken() {
    let upstream = FakeUpstream::start().await;
    for kind in [&PKCS_ED25519, &PKCS_ECDSA_P384_SHA384] {
        let pair = Pair::made(2200, KeyPair::generate_for(kind).unwrap());
        let (_folder, builder) = with_pair(&upstream, &pair, "");
        let gateway = builder.start().await;
        let stream = connect(gateway.address(), &[&pair], "h2").await.unwrap();
        assert_eq!(over_http2(stream, chat(false)).await.status(), 200);
        gateway.ends_quiet().await;
    }
}

#[tokio::test]
async fn a_new_pair_counts_from_the_next_connection_and_costs_no_request() {
    let (upstream, old, new) = (FakeUpstream::start().await, Pair::new(), Pair::new());
    let (folder, builder) = with_pair(&upstream, &old, "");
    let gateway = builder.start().await;
    let open = connect(gateway.address(), &[&old], "http/1.1").await.unwrap();
    new.write(folder.path());

    let load = futures_util::future::join_all((0..8).map(|_| async {
        let mut seen = [0, 0];
        // Until each has met both: half of the requests come before the reload, half behind it.
        while seen[1] < 3 {
            let stream = connect(gateway.address(), &[&old, &new], "http/1.1").await.expect("a connection");
            seen[usize::from(shown(&stream) == new.der)] += 1;
            assert_eq!(over_http1(stream, chat(false)).await.status(), 200);
        }
        seen
    }));
    let swap = async {
        upstream.arrived(16).await;
        assert_eq!(reload(&gateway, &old).await.0, 200);
    };
    let (seen, ()) = tokio::join!(load, swap);
    assert!(seen.iter().map(|[old, _]| old).sum::<usize>() > 8, "{seen:?}");
    // The old connection is still good, with what it was shown.
    assert_eq!(over_http1(open, chat(false)).await.status(), 200);
    let refused = connect(gateway.address(), &[&old], "http/1.1").await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidData, "the old certificate is shown no more");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_broken_pair_changes_nothing_and_is_named() {
    let (upstream, pair, other) = (FakeUpstream::start().await, Pair::new(), Pair::new());
    let (folder, builder) = with_pair(&upstream, &pair, "");
    let gateway = builder.start().await;
    let file = |name: &str| folder.path().join(name);
    for (name, text, told) in [
        ("key.pem", &*other.key, "key.pem: server.tls.key: not the key of the certificate"),
        ("cert.pem", "", "cert.pem: server.tls.cert: no certificate in this file"),
        ("cert.pem", "-----BEGIN CERTIFICATE-----\n???", "cert.pem: server.tls.cert: not PEM"),
        ("key.pem", &*pair.certificate, "key.pem: server.tls.key: no private key in this file"),
        (
            "key.pem",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "encrypted",
        ),
    ] {
        std::fs::write(file(name), text).unwrap();
        let (status, answer) = reload(&gateway, &pair).await;
        assert_eq!(status, 422, "{answer}");
        assert!(answer.contains(told), "no `{told}` in {answer}");
        pair.write(folder.path());
    }
    std::fs::remove_file(file("key.pem")).unwrap();
    let (status, answer) = reload(&gateway, &pair).await;
    assert!(status == 422 && answer.contains("server.tls.key: no such file"), "{answer}");
    pair.write(folder.path());
    assert_eq!(reload(&gateway, &pair).await.0, 200);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_metrics_say_when_the_certificate_that_is_shown_ends() {
    let (upstream, old, new) = (FakeUpstream::start().await, Pair::until(2200), Pair::until(2201));
    let (folder, builder) = with_pair(&upstream, &old, "");
    let gateway = builder.start().await;
    let ends = async |pair: &Pair| {
        let stream = connect(gateway.address(), &[pair], "http/1.1").await.unwrap();
        let request = Request::get("https://localhost/metrics").header("host", "localhost");
        let text = text(over_http1(stream, request.body(Full::default()).unwrap()).await).await;
        let line =
            text.lines().find_map(|line| line.strip_prefix("gateway_tls_certificate_expires_seconds "));
        line.unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(ends(&old).await, 7_258_118_400, "2200-01-01T00:00:00Z");
    new.write(folder.path());
    assert_eq!(reload(&gateway, &old).await.0, 200);
    assert_eq!(ends(&new).await, 7_258_118_400 + 365 * 24 * 60 * 60);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_pair_that_is_replaced_counts_by_itself() {
    let (upstream, old, new) = (FakeUpstream::start().await, Pair::new(), Pair::new());
    let (folder, builder) = with_pair(&upstream, &old, "");
    let gateway = builder.watching().start().await;
    new.write(folder.path());
    let counts = async { while connect(gateway.address(), &[&new], "h2").await.is_err() {} };
    patiently("the new certificate to be shown", counts).await;
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_told_so() {
    let (upstream, pair) = (FakeUpstream::start().await, Pair::new());
    let (_folder, builder) = with_pair(&upstream, &pair, "");
    let gateway = builder.start().await;
    let mut client = gateway.connect().await;
    let answer = client.ask(&Raw::get("/health")).await;
    assert_eq!((answer.status, &*answer.text()), (400, "this port speaks TLS; use https:// here\n"));
    assert_eq!(client.closed().await, Closed::Properly);
    let url = format!("http://{}", gateway.address());
    let mut probe = command(&gateway.folder(), &["health", "--url", &url]);
    let asked = tokio::task::spawn_blocking(move || probe.output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&asked.stderr);
    assert!(told.contains(&format!("speaks TLS: ask it at https://{}", gateway.address())), "{told}");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn an_upstream_whose_certificate_is_not_trusted_is_told_of_so() {
    let (upstream, pair) = (FakeUpstream::start().await, Pair::new());
    let (_folder, builder) = with_pair(&upstream, &pair, "");
    let over_tls = builder.start().await;
    let gateway =
        TestGateway::at(&format!("https://{}/v1", over_tls.address())).client("ada", json!({})).start().await;
    assert_eq!(gateway.chat("ada", "hi").await.status, 502);
    let providers = gateway.admin("/admin/providers").await;
    assert!(providers.to_string().contains("\"what\":\"certificate\""), "{providers}");
    gateway.ends_quiet().await;
    over_tls.ends_quiet().await;
}

#[tokio::test]
async fn a_slow_handshake_is_cut_and_keeps_nobody_waiting() {
    let (upstream, pair) = (FakeUpstream::start().await, Pair::new());
    let (_folder, builder) = with_pair(&upstream, &pair, "header_timeout = \"500ms\"");
    let gateway = builder.start().await;
    let mut slow = Vec::new();
    // Silent, within a record's head, within a record.
    for opening in [&b""[..], b"\x16\x03", b"\x16\x03\x01\x02\x00\x01"] {
        let mut client = RawClient::connect(gateway.address()).await;
        client.write(opening).await.unwrap();
        slow.push(client);
    }
    let stream = connect(gateway.address(), &[&pair], "h2").await.unwrap();
    assert_eq!(over_http2(stream, chat(false)).await.status(), 200);
    assert_eq!(gateway.front().in_flight.depth(), 0);
    for mut client in slow {
        client.closed().await;
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn an_unfinished_handshake_does_not_hold_up_the_end() {
    let (upstream, pair) = (FakeUpstream::start().await, Pair::new());
    // Longer than a test waits.
    let (_folder, builder) =
        with_pair(&upstream, &pair, "header_timeout = \"10m\"\nshutdown_grace = \"10m\"");
    let gateway = builder.start().await;
    let mut client = gateway.connect().await;
    client.write(b"\x16\x03").await.unwrap();
    let stream = connect(gateway.address(), &[&pair], "h2").await.unwrap();
    assert_eq!(over_http2(stream, chat(false)).await.status(), 200);
    gateway.ends_quiet().await;
    client.closed().await;
}

#[tokio::test]
async fn a_client_that_leaves_in_a_stream_ends_its_upstream_call_with_or_without_a_farewell() {
    let (upstream, pair) = (FakeUpstream::start().await, Pair::new());
    let (_folder, builder) = with_pair(&upstream, &pair, "");
    let gateway = builder.start().await;
    upstream.always(Reply::stream(["a", "b"]).stall_after(1));
    let body = json!({"model": "gpt-test", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let request = Raw::post("/v1/chat/completions").header("authorization", "Bearer key-ada").json(&body);
    for says_farewell in [true, false] {
        let mut stream = connect(gateway.address(), &[&pair], "http/1.1").await.unwrap();
        stream.write_all(&request.bytes()).await.unwrap();
        let seen = upstream.next_request().await;
        patiently("the answer's head", stream.read_u8()).await.unwrap();
        if says_farewell {
            stream.shutdown().await.unwrap();
        }
        drop(stream);
        seen.connection_closed().await;
        gateway.is_quiet().await;
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_client_that_stops_reading_is_cut_over_tls_too() {
    let (upstream, pair) = (FakeUpstream::start().await, Pair::new());
    let (_folder, builder) = with_pair(&upstream, &pair, "write_timeout = \"300ms\"");
    let gateway = builder.start().await;
    upstream.always(Reply::endless());
    let mut stream = connect(gateway.address(), &[&pair], "http/1.1").await.unwrap();
    let body = json!({"model": "gpt-test", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let request = Raw::post("/v1/chat/completions").header("authorization", "Bearer key-ada").json(&body);
    stream.write_all(&request.bytes()).await.unwrap();
    let seen = upstream.next_request().await;
    seen.connection_closed().await;
    drop(stream);
    gateway.ends_quiet().await;
}

#[cfg(unix)]
#[tokio::test]
async fn the_program_says_https_and_takes_a_new_pair_at_sighup() {
    let (upstream, old, new) = (FakeUpstream::start().await, Pair::new(), Pair::new());
    let (pairs, builder) = with_pair(&upstream, &old, "");
    let folder = builder.write();
    let program = Program::started(command(folder.path(), &["--listen", "127.0.0.1:0"])).await;
    assert_eq!(program.output(), format!("listening on https://{}\n", program.address()));
    connect(program.address(), &[&old], "h2").await.unwrap();
    new.write(pairs.path());
    program.signal("HUP");
    let counts = async { while connect(program.address(), &[&new], "h2").await.is_err() {} };
    patiently("the new certificate to be shown", counts).await;
}

#[test]
fn check_tells_what_is_wrong_with_a_pair_and_when_it_ends() {
    let folder = Folder::new();
    std::fs::create_dir(folder.0.join("tls")).unwrap();
    let checked = |listen: &str, tls: &str| {
        folder.write("gateway.toml", &format!("[server]\nlisten = \"{listen}\"\n{tls}\n[providers.echo]\n"));
        folder.run(&["check"], b"")
    };
    // Paths are relative to gateway.toml.
    let tls = "[server.tls]\ncert = \"tls/cert.pem\"\nkey = \"tls/key.pem\"";
    let in_20_days =
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(20 * 24 * 3600);
    let mut ends_soon = CertificateParams::new(["localhost".to_owned()]).unwrap();
    ends_soon.not_after = rcgen::date_time_ymd(1970, 1, 1) + in_20_days;
    let key = KeyPair::generate().unwrap();
    let certificate = ends_soon.self_signed(&key).unwrap();
    let ends_soon =
        Pair { certificate: certificate.pem(), der: certificate.der().clone(), key: key.serialize_pem() };

    for (pair, told) in [
        (&ends_soon, Some("cert.pem: server.tls.cert: the certificate ends in less than 30 days, at ")),
        (
            &Pair::until(2020),
            Some("the certificate has expired, at 2020-01-01T00:00:00Z, so that clients refuse it"),
        ),
        (&Pair::new(), None),
    ] {
        pair.write(&folder.0.join("tls"));
        let ran = checked("0.0.0.0:8000", tls);
        assert_eq!(ran.code, 0, "{}", ran.told);
        assert!(!ran.told.contains("plain text"), "{}", ran.told);
        match told {
            Some(told) => assert!(ran.told.contains(told), "no `{told}` in {}", ran.told),
            None => assert!(!ran.told.contains("certificate"), "{}", ran.told),
        }
    }
    let ran = checked("0.0.0.0:8000", "");
    assert!(
        ran.told.contains("server.listen: 0.0.0.0:8000 can be reached from other machines"),
        "{}",
        ran.told
    );
    let ran = checked("127.0.0.1:8000", "[server.tls]\ncert = \"tls/cert.pem\"");
    assert_eq!(ran.code, 2);
    assert!(ran.told.contains("server.tls.key: missing; write the file of its private key"), "{}", ran.told);
}

#[tokio::test]
async fn health_by_the_settings_asks_over_tls_and_takes_the_configured_certificate_alone() {
    let (folder, pair) = (Folder::new(), Pair::new());
    let toml =
        "[server.tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n[clients]\nwatch = false\n[providers.echo]\n";
    folder.write("gateway.toml", toml);
    pair.write(&folder.0);
    let program = Program::start(&folder.0).await;
    let health = || {
        let mut command = command(&folder.0, &["health"]);
        command.env("GATEWAY_LISTEN", program.address());
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let asked = health().await.unwrap();
    let expected = format!("the gateway at https://{} takes requests\n", program.address());
    assert_eq!(String::from_utf8_lossy(&asked.stdout), expected, "{asked:?}");

    // A pair that the running gateway does not show yet; to the probe it might be anybody.
    Pair::new().write(&folder.0);
    let asked = health().await.unwrap();
    assert_eq!(asked.status.code(), Some(1), "{asked:?}");
    assert!(String::from_utf8_lossy(&asked.stderr).contains("another certificate"), "{asked:?}");
}
