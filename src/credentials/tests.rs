use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Params, Version};
use gateway_actors::client::{CLIENT_ID_MAX, Credential};
use proptest::prelude::*;
use tokio::task::yield_now;

use super::*;

const NOW: u64 = 1_800_000_000_000;

fn sha256(secret: &str) -> SecretHash {
    SecretHash::Sha256(Sha256::digest(secret).into())
}

/// The smallest costs that argon2 has, so that tests are quick.
fn argon2id(secret: &str) -> SecretHash {
    let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let salt = SaltString::encode_b64(b"salt of a test").unwrap();
    SecretHash::Argon2id(cheap.hash_password(secret.as_bytes(), &salt).unwrap().to_string())
}

fn credential(kind: CredentialKind, hash: SecretHash) -> Credential {
    Credential { kind, hash, not_before: None, expires_at: None, label: None }
}

fn secret(hash: SecretHash) -> Credential {
    credential(CredentialKind::Secret, hash)
}

fn key(key: &str) -> Credential {
    credential(CredentialKind::ApiKey, sha256(key))
}

fn client(id: &str, credentials: Vec<Credential>) -> Client {
    Client { credentials, ..Client::new(ClientId::parse(id).unwrap()) }
}

fn table(clients: Vec<Client>) -> ClientTable {
    ClientTable::new(1, clients)
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn pair(id: &str, secret: &str) -> HeaderMap {
    headers(&[("client_id", id), ("client_secret", secret)])
}

fn local() -> Origin {
    Origin { address: IpAddr::from([127, 0, 0, 1]), is_local: true }
}

fn at(address: &str) -> Origin {
    Origin { address: address.parse().unwrap(), is_local: false }
}

async fn who(headers: &HeaderMap, table: &ClientTable) -> Result<String, AuthFault> {
    who_at(headers, table, NOW).await
}

async fn who_at(headers: &HeaderMap, table: &ClientTable, unix_ms: u64) -> Result<String, AuthFault> {
    let client = Authenticator::default().identify(headers, local(), table, unix_ms).await?;
    Ok(client.id.to_string())
}

fn origin(peer: &str, lines: &[&str], trusted: &[&str]) -> Origin {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append("x-forwarded-for", line.as_bytes().try_into().unwrap());
    }
    let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
    Origin::of(SocketAddr::new(peer.parse().unwrap(), 1), &headers, &trusted)
}

#[test]
fn the_address_is_the_rightmost_one_that_is_no_trusted_proxy() {
    let own = ["10.0.0.0/8", "2001:db8::/32"];
    for (peer, lines, address) in [
        // Nobody is trusted to speak for others unless it is listed.
        ("192.0.2.1", vec!["198.51.100.7"], "192.0.2.1"),
        ("10.0.0.1", vec![], "10.0.0.1"),
        ("10.0.0.1", vec!["198.51.100.7"], "198.51.100.7"),
        // What stands left of the first stranger is the stranger's own word.
        ("10.0.0.1", vec!["127.0.0.1, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", vec!["198.51.100.7, 10.0.0.2,10.0.0.3"], "198.51.100.7"),
        ("10.0.0.1", vec!["203.0.113.9", "198.51.100.7", "10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", vec!["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", vec!["198.51.100.7:4711"], "198.51.100.7"),
        ("10.0.0.1", vec!["[2001:470::1]:4711"], "2001:470::1"),
        ("2001:db8::1", vec!["2001:470::1"], "2001:470::1"),
        ("::ffff:10.0.0.1", vec!["::ffff:198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", vec!["198.51.100.7, "], "198.51.100.7"),
        ("10.0.0.1", vec!["unknown"], "10.0.0.1"),
        // A caller cannot hide the hops that proxies add behind bytes that are no text.
        ("10.0.0.1", vec!["10.9.9.9", "é, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", vec!["10.9.9.9, é, 198.51.100.7"], "198.51.100.7"),
    ] {
        let found = origin(peer, &lines, &own).address;
        assert_eq!(found, address.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
    }
}

#[test]
fn a_request_is_local_only_from_loopback_and_never_through_a_proxy() {
    for peer in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        assert!(origin(peer, &[], &[]).is_local, "{peer}");
        assert!(!origin(peer, &["127.0.0.1"], &["127.0.0.0/8"]).is_local, "{peer} behind a proxy");
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        let is_local = |name, value| Origin::of(peer, &headers(&[(name, value)]), &[]).is_local;
        for (name, value) in [
            ("forwarded", "for=127.0.0.1"),
            ("via", "1.1 proxy"),
            ("x-real-ip", "198.51.100.7"),
            ("x-forwarded-host", "gateway.example"),
            ("host", "gateway.example"),
            ("host", "gateway.example:8000"),
            ("host", "192.0.2.7:8000"),
            ("host", "localhost.example"),
        ] {
            assert!(!is_local(name, value), "{peer} {name}: {value}");
        }
        for host in ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:8000", "[::1]", "[::1]:8000"] {
            assert!(is_local("host", host), "{peer} {host}");
        }
    }
    for peer in ["10.0.0.1", "0.0.0.0", "2001:db8::1", "::ffff:10.0.0.1"] {
        assert!(!origin(peer, &[], &["0.0.0.0/0", "::/0"]).is_local, "{peer}");
    }
}

#[tokio::test]
async fn nothing_but_a_whole_right_credential_proves_a_client() {
    let table = table(vec![client("ada", vec![secret(sha256("right")), key("sk-ada")])]);
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    for right in [
        pair("ada", "right"),
        headers(&[("client-id", "ada"), ("client-secret", "right")]),
        headers(&[("x-client-id", "ada"), ("x-client-secret", "right")]),
        headers(&[("authorization", &basic("ada:right"))]),
        headers(&[("authorization", "bEaReR   sk-ada  ")]),
        headers(&[("authorization", "Bearer ada:right")]),
        headers(&[("x-api-key", "sk-ada")]),
        headers(&[("x-api-key", "ada:right")]),
        headers(&[("x-goog-api-key", "sk-ada")]),
        headers(&[("x-goog-api-key", "ada:right")]),
    ] {
        assert_eq!(who(&right, &table).await.as_deref(), Ok("ada"), "{right:?}");
    }
    for wrong in [
        headers(&[]),
        pair("ada", "wrong"),
        pair("ada", ""),
        pair("", "right"),
        pair("Ada", "right"),
        pair("grace", "right"),
        // A key is no secret, and a secret is no key.
        pair("ada", "sk-ada"),
        headers(&[("x-api-key", "right")]),
        headers(&[("client_id", "ada")]),
        headers(&[("client_secret", "right")]),
        headers(&[("client_id", "ada"), ("client-secret", "right")]),
        headers(&[("authorization", "sk-ada")]),
        headers(&[("authorization", "Token sk-ada")]),
        headers(&[("authorization", "Bearer")]),
        headers(&[("authorization", "Bearer ")]),
        headers(&[("authorization", "Basic ada:right")]),
        headers(&[("authorization", &basic("adaright"))]),
        headers(&[("x-api-key", "")]),
        headers(&[("x-api-key", "ada")]),
        headers(&[("x-api-key", "ada:")]),
    ] {
        assert!(matches!(who(&wrong, &table).await, Err(AuthFault::Invalid(_))), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_secret_may_hold_colons_and_an_id_ends_at_the_first() {
    let table = table(vec![client("ada", vec![secret(sha256("a:b:"))])]);
    let basic = format!("Basic {}", STANDARD.encode("ada:a:b:"));
    for right in [headers(&[("authorization", &basic)]), headers(&[("x-api-key", "ada:a:b:")])] {
        assert_eq!(who(&right, &table).await.as_deref(), Ok("ada"));
    }
}

#[tokio::test]
async fn a_client_without_a_credential_is_nobody_whatever_it_sends() {
    let table = table(vec![client("ada", vec![])]);
    for secret in ["", "0", "ada"] {
        assert!(matches!(who(&pair("ada", secret), &table).await, Err(AuthFault::Invalid(_))));
    }
    assert!(!matches_sha256(None, &[1; 32], NOW), "nothing matches nobody");
}

#[tokio::test]
async fn forms_that_agree_are_one_and_those_that_do_not_are_refused() {
    let ada = client("ada", vec![secret(sha256("right")), key("sk-ada")]);
    let table = table(vec![ada, client("grace", vec![key("sk-grace")])]);
    let mut both = pair("ada", "right");
    both.insert("x-api-key", "sk-ada".parse().unwrap());
    assert_eq!(who(&both, &table).await.as_deref(), Ok("ada"));
    both.insert("x-api-key", "sk-nobody".parse().unwrap());
    assert!(matches!(who(&both, &table).await, Err(AuthFault::Invalid(_))), "one is wrong");
    both.insert("x-api-key", "sk-grace".parse().unwrap());
    assert_eq!(who(&both, &table).await, Err(AuthFault::TwoClients));
    both.append("client_id", "ada".parse().unwrap());
    assert_eq!(who(&both, &table).await, Err(AuthFault::Repeated { header: "client_id" }));
}

#[tokio::test]
async fn a_credential_counts_from_its_first_to_before_its_last_millisecond() {
    let dated = |credential| Credential { not_before: Some(NOW), expires_at: Some(NOW + 10), ..credential };
    for hash in [sha256("right"), argon2id("right")] {
        let table = table(vec![client("ada", vec![dated(secret(hash)), dated(key("sk-ada"))])]);
        for presented in [pair("ada", "right"), headers(&[("x-api-key", "sk-ada")])] {
            for (unix_ms, counts) in [(NOW - 1, false), (NOW, true), (NOW + 9, true), (NOW + 10, false)] {
                let found = who_at(&presented, &table, unix_ms).await;
                assert_eq!(found.is_ok(), counts, "{}", unix_ms - NOW + 1);
            }
        }
    }
}

#[tokio::test]
async fn of_several_secrets_each_is_right_while_it_is_valid() {
    let expired = Credential { expires_at: Some(NOW), ..secret(sha256("gone")) };
    let table = table(vec![client(
        "ada",
        vec![
            secret(sha256("one")),
            secret(argon2id("two")),
            expired,
            secret(sha256("three")),
            secret(argon2id("four")),
        ],
    )]);
    for right in ["one", "two", "three", "four"] {
        assert_eq!(who(&pair("ada", right), &table).await.as_deref(), Ok("ada"), "{right}");
    }
    for wrong in ["gone", "five"] {
        assert!(matches!(who(&pair("ada", wrong), &table).await, Err(AuthFault::Invalid(_))), "{wrong}");
    }
}

#[tokio::test]
async fn a_disabled_client_is_nobody() {
    let table = table(vec![Client {
        disabled: true,
        ..client("ada", vec![secret(sha256("right")), secret(argon2id("also right")), key("sk-ada")])
    }]);
    for right in [pair("ada", "right"), pair("ada", "also right"), headers(&[("x-api-key", "sk-ada")])] {
        assert!(matches!(who(&right, &table).await, Err(AuthFault::Invalid(_))));
    }
}

#[tokio::test]
async fn a_published_secret_proves_its_client_on_this_machine_only() {
    for hash in [sha256("password"), argon2id("password")] {
        let table = table(vec![client("ada", vec![secret(hash)])]);
        assert_eq!(who(&pair("ada", "password"), &table).await.as_deref(), Ok("ada"));
        let from = |headers| {
            let table = &table;
            async move { Authenticator::default().identify(&headers, at("127.0.0.1"), table, NOW).await }
        };
        let refused = from(pair("ada", "password")).await.unwrap_err();
        assert!(matches!(refused, AuthFault::PublishedSecret { .. }), "{refused}");
        // Whoever does not know it learns nothing.
        assert!(matches!(from(pair("ada", "wrong")).await, Err(AuthFault::Invalid(_))));
    }
}

#[tokio::test]
async fn a_client_with_a_published_secret_is_refused_whatever_it_presents() {
    let table = table(vec![client("ada", vec![secret(sha256("password")), key("sk-ada")])]);
    let presented = headers(&[("x-api-key", "sk-ada")]);
    assert_eq!(who(&presented, &table).await.as_deref(), Ok("ada"));
    let refused = Authenticator::default().identify(&presented, at("192.0.2.1"), &table, NOW).await;
    assert!(matches!(refused, Err(AuthFault::PublishedSecret { .. })));
}

#[tokio::test]
async fn an_address_is_told_only_to_who_has_proven_itself() {
    let networks = vec!["192.0.2.0/24".parse().unwrap()];
    let ada = Client { allowed_addresses: Some(networks), ..client("ada", vec![key("sk-ada")]) };
    let table = table(vec![ada]);
    let from = |key: &'static str, address: &'static str| {
        let table = &table;
        async move {
            let headers = headers(&[("x-api-key", key)]);
            Authenticator::default().identify(&headers, at(address), table, NOW).await.map(|_| ())
        }
    };
    assert_eq!(from("sk-ada", "192.0.2.9").await, Ok(()));
    assert_eq!(from("sk-ada", "::ffff:192.0.2.9").await, Ok(()));
    assert!(matches!(from("sk-ada", "198.51.100.1").await, Err(AuthFault::AddressNotAllowed { .. })));
    assert!(matches!(from("sk-wrong", "198.51.100.1").await, Err(AuthFault::Invalid(_))));
}

#[tokio::test]
async fn what_argon2id_said_is_kept_for_one_generation() {
    let authenticator = Authenticator::default();
    let ada = || client("ada", vec![secret(argon2id("right"))]);
    for generation in [1, 2] {
        let table = ClientTable::new(generation, vec![ada()]);
        for guess in ["right", "right", "wrong", "wrong"] {
            let found = authenticator.identify(&pair("ada", guess), local(), &table, NOW).await;
            assert_eq!(found.is_ok(), guess == "right");
        }
        let results: Vec<_> = authenticator.cache.iter().map(|entry| *entry.value()).collect();
        assert_eq!(results.len(), 2, "one for each secret that was tried");
        assert!(results.iter().all(|(of, _)| *of == generation));
    }
    assert!(authenticator.turns.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_known_secret_needs_no_place_to_run_argon2id_and_an_unknown_one_waits_a_second_for_it() {
    let authenticator = Authenticator::default();
    let table = table(vec![client("ada", vec![secret(argon2id("right"))])]);
    let right = pair("ada", "right");
    authenticator.identify(&right, local(), &table, NOW).await.unwrap();

    let places = authenticator.runs.available_permits();
    assert_eq!(places, std::thread::available_parallelism().unwrap().get());
    let taken = Arc::clone(&authenticator.runs).acquire_many_owned(u32::try_from(places).unwrap()).await;
    let start = tokio::time::Instant::now();
    assert!(authenticator.identify(&right, local(), &table, NOW).await.is_ok());
    assert_eq!(start.elapsed(), Duration::ZERO);
    let busy = authenticator.identify(&pair("ada", "wrong"), local(), &table, NOW).await;
    assert_eq!(busy, Err(AuthFault::Busy));
    assert_eq!(start.elapsed(), PLACE_WAIT);
    assert!(authenticator.turns.is_empty(), "who gave up waiting leaves no queue behind");

    drop(taken);
    let wrong = authenticator.identify(&pair("ada", "wrong"), local(), &table, NOW).await;
    assert!(matches!(wrong, Err(AuthFault::Invalid(_))));
}

#[tokio::test(start_paused = true)]
async fn guesses_at_one_client_from_one_address_run_one_after_the_other_and_hold_up_nobody_else() {
    let authenticator = Authenticator::default();
    let clients = ["ada", "grace"].map(|id| client(id, vec![secret(argon2id("right"))]));
    let table = table(clients.into());
    let ada = ClientId::parse("ada").unwrap();
    let mut guesser = Turn::queue(&authenticator.turns, (local().address, ada));
    guesser.come().await;

    let right = pair("ada", "right");
    let same_place = authenticator.identify(&right, local(), &table, NOW).await;
    assert_eq!(same_place, Err(AuthFault::Busy));
    let start = tokio::time::Instant::now();
    let elsewhere = authenticator.identify(&right, at("192.0.2.1"), &table, NOW).await;
    assert_eq!(&*elsewhere.unwrap().id, "ada");
    let other = authenticator.identify(&pair("grace", "right"), local(), &table, NOW).await;
    assert_eq!(&*other.unwrap().id, "grace");
    assert!(start.elapsed() < PLACE_WAIT);

    drop(guesser);
    assert!(authenticator.turns.is_empty());
    assert!(authenticator.identify(&right, local(), &table, NOW).await.is_ok());
}

#[tokio::test]
async fn a_caller_who_leaves_while_it_waits_leaves_nothing_behind() {
    let authenticator = Authenticator::default();
    let table = table(vec![client("ada", vec![secret(argon2id("right"))])]);
    let all = u32::try_from(authenticator.runs.available_permits()).unwrap();
    let taken = Arc::clone(&authenticator.runs).acquire_many_owned(all).await.unwrap();
    let presented = pair("ada", "right");
    let mut waiting = Box::pin(authenticator.identify(&presented, local(), &table, NOW));
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("there is no place"),
        () = yield_now() => {}
    }
    assert_eq!(authenticator.turns.len(), 1);
    drop(waiting);
    assert!(authenticator.turns.is_empty());
    drop(taken);
}

#[tokio::test]
async fn the_cache_starts_anew_when_it_is_full() {
    let authenticator = Authenticator::default();
    for entry in 0..CACHE_MAX {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&entry.to_be_bytes());
        authenticator.cache.insert(key, (1, false));
    }
    let table = table(vec![client("ada", vec![secret(argon2id("right"))])]);
    authenticator.identify(&pair("ada", "right"), local(), &table, NOW).await.unwrap();
    assert_eq!(authenticator.cache.len(), 1);
}

#[test]
fn the_cache_tells_apart_what_together_reads_the_same() {
    let authenticator = Authenticator::default();
    let key =
        |id: &str, phc, secret: &str| authenticator.cache_key(&client(id, vec![]), phc, secret.as_bytes());
    let keys = [key("a", "bc", "d"), key("ab", "c", "d"), key("a", "b", "cd")];
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    assert_eq!(keys[0], key("a", "bc", "d"));
    let other = Authenticator::default().cache_key(&client("a", vec![]), "bc", b"d");
    assert_ne!(keys[0], other, "without the key of this process nobody can look for a secret");
}

/// Header values that come close to credentials.
fn near_credential() -> impl Strategy<Value = Vec<u8>> {
    let ids = proptest::sample::select(&["ada", "grace", "Ada", "", "nobody"]);
    let secrets = proptest::sample::select(&["right", "wrong", "", "sk-ada", "sk-grace"]);
    let pair = (ids.clone(), secrets.clone());
    let pair = pair.prop_map(|(id, secret)| format!("{id}:{secret}"));
    prop_oneof![
        ids.prop_map(|id| id.as_bytes().to_vec()),
        secrets.prop_map(|secret| secret.as_bytes().to_vec()),
        pair.clone().prop_map(|pair| format!("Bearer {pair}").into_bytes()),
        pair.clone().prop_map(|pair| format!("Basic {}", STANDARD.encode(pair)).into_bytes()),
        pair.prop_map(String::into_bytes),
        proptest::collection::vec(prop_oneof![32_u8..127, 128_u8..=255], 0..2 * CLIENT_ID_MAX),
    ]
}

proptest! {
    #[test]
    fn no_headers_prove_a_client_that_none_of_them_has_the_secret_of(
        lines in proptest::collection::vec((0_usize..9, near_credential()), 0..4),
    ) {
        let names = ["client_id", "client_secret", "client-id", "client-secret", "x-client-id",
            "x-client-secret", "authorization", "x-api-key", "x-goog-api-key"];
        let mut presented = HeaderMap::new();
        for (name, value) in &lines {
            presented.append(names[*name], value.as_slice().try_into().unwrap());
        }
        let ada = client("ada", vec![secret(sha256("right")), key("sk-ada")]);
        let table = table(vec![ada, client("grace", vec![key("sk-grace")])]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let found = runtime.block_on(who(&presented, &table));
        let holds = |text: &str| {
            let basic = STANDARD.encode(text);
            lines.iter().any(|(_, value)| {
                let value = String::from_utf8_lossy(value);
                value.contains(text) || value.contains(&basic)
            })
        };
        match found.as_deref() {
            Ok("ada") => {
                let by_pair = lines.iter().any(|(_, value)| value == b"ada")
                    && lines.iter().any(|(_, value)| value == b"right");
                prop_assert!(by_pair || holds("ada:right") || holds("sk-ada"), "{lines:?}");
            }
            Ok(other) => {
                prop_assert_eq!(other, "grace");
                prop_assert!(holds("sk-grace"), "{:?}", lines);
            }
            Err(_) => {}
        }
    }
}
