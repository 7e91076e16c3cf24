use super::*;

const PASSWORD: &str = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";

fn ada() -> Client {
    Client::new(ClientId::parse("ada").unwrap())
}

fn credential(hash: SecretHash) -> Credential {
    Credential { kind: CredentialKind::Secret, hash, not_before: None, expires_at: None, label: None }
}

#[test]
fn a_client_id_keeps_to_its_characters_and_length() {
    for good in ["a", "test_client", "Ada.Lovelace-2", &"x".repeat(64)] {
        assert_eq!(ClientId::parse(good).unwrap().as_str(), good);
    }
    for bad in ["", "a b", "a/b", "../a", "a:b", "é", "a\n", &"x".repeat(65)] {
        assert_eq!(ClientId::parse(bad), Err(InvalidClientId), "{bad}");
    }
    assert_ne!(ClientId::parse("Ada"), ClientId::parse("ada"));
}

#[test]
fn a_new_client_may_use_nothing_until_it_is_told() {
    let client = ada();
    assert!(!client.may_use_provider("openai"));
    assert!(!client.may_use_endpoint("generate"));
    assert!(client.may_use_model("gpt-5.4-nano"));
    assert!(client.may_call_from("203.0.113.9".parse().unwrap()));
}

#[test]
fn a_star_among_names_allows_every_name() {
    let client = Client { allowed_endpoints: ["generate", "*"].into_iter().collect(), ..ada() };
    assert!(client.may_use_endpoint("chat/completions"));
    let client = Client { allowed_endpoints: ["generate"].into_iter().collect(), ..ada() };
    assert!(client.may_use_endpoint("generate"));
    assert!(!client.may_use_endpoint("chat/completions"));
}

#[test]
fn an_endpoint_is_named_without_its_version_and_slashes() {
    for written in ["generate", "/generate", "generate/", "/api/v1/generate", "v1/generate", " generate "] {
        assert_eq!(endpoint_name(written), "generate", "{written}");
    }
    assert_eq!(endpoint_name("/v1/chat/completions/"), "chat/completions");
    assert_eq!(endpoint_name("*"), "*");
}

#[test]
fn only_a_plain_star_allows_models_with_a_slash() {
    let of = |globs: &[&str]| Client {
        allowed_models: globs.iter().map(|glob| Glob::new(glob)).collect(),
        ..ada()
    };
    assert!(of(&["*"]).may_use_model("openai/gpt-oss-20b"));
    assert!(!of(&["**"]).may_use_model("openai/gpt-oss-20b"));
    assert!(of(&["gpt-*", "openai/*"]).may_use_model("openai/gpt-oss-20b"));
    assert!(!of(&["gpt-*"]).may_use_model("openai/gpt-oss-20b"));
    assert!(!of(&[]).may_use_model("gpt-5.4-nano"));
}

#[test]
fn an_address_is_one_address_in_both_its_forms() {
    let from = |networks: &[&str]| {
        let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        Client { allowed_addresses: Some(networks), ..ada() }
    };
    let inside = from(&["10.0.0.0/8"]);
    assert!(inside.may_call_from("10.1.2.3".parse().unwrap()));
    assert!(inside.may_call_from("::ffff:10.1.2.3".parse().unwrap()));
    assert!(!inside.may_call_from("11.1.2.3".parse().unwrap()));
    assert!(!from(&[]).may_call_from("10.1.2.3".parse().unwrap()));
}

#[test]
fn a_credential_counts_from_its_first_millisecond_to_the_one_before_its_end() {
    let hash = SecretHash::sha256_from_hex(&"ab".repeat(32)).unwrap();
    let credential = Credential { not_before: Some(1_000), expires_at: Some(2_000), ..credential(hash) };
    assert_eq!([999, 1_000, 1_999, 2_000].map(|now| credential.is_valid_at(now)), [false, true, true, false]);
}

#[test]
fn the_published_secret_is_known_by_its_hash() {
    let published = credential(SecretHash::sha256_from_hex(&PASSWORD.to_uppercase()).unwrap());
    let own = credential(SecretHash::sha256_from_hex(&"ab".repeat(32)).unwrap());
    assert!(published.is_published() && !own.is_published());
    assert!(Client { credentials: vec![own.clone(), published], ..ada() }.has_published_secret());
    assert!(!Client { credentials: vec![own], ..ada() }.has_published_secret());
}

#[test]
fn a_hash_of_another_length_or_alphabet_is_none() {
    for bad in
        ["", "ab", &"ab".repeat(33), &"gg".repeat(32), &format!("+{}", "a".repeat(63)), &"é".repeat(32)]
    {
        assert_eq!(SecretHash::sha256_from_hex(bad), None, "{bad}");
    }
}

#[test]
fn a_hash_is_never_printed() {
    let sha256 = credential(SecretHash::sha256_from_hex(&"ab".repeat(32)).unwrap());
    let argon2id = credential(SecretHash::Argon2id("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA".to_owned()));
    let printed = format!("{:?}", Client { credentials: vec![sha256, argon2id], ..ada() });
    assert!(printed.contains("Sha256(***)") && printed.contains("Argon2id(***)"));
    assert!(!printed.contains("aGFzaA") && !printed.contains("171"), "{printed}");
}
