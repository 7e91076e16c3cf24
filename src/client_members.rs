//! A client's members as its file names them, to be shown: what is in force, and what two of them differ in.
//!
//! Called   by the admin routes and by whoever records a change in the audit log.
//! Bounded  by the client.
//! Fails    never. No hash of a credential is among them, only that it is there and until when.

use gateway_actors::Client;
use gateway_actors::client::{Credential, CredentialKind, MaxTokensPolicy, ModelGlobs, NameSet};
use gateway_limits::Usd;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Members by name.
pub type Members = Map<String, Value>;

/// Everything but the id and the credentials, with defaults filled in; `null` is unlimited or none.
pub fn members(client: &Client) -> Members {
    let limits = &client.limits;
    let models = match &client.allowed_models {
        ModelGlobs::All => vec!["*"],
        ModelGlobs::Only(globs) => globs.iter().map(|glob| glob.as_str()).collect(),
    };
    let addresses = client.allowed_addresses.as_ref();
    let addresses = addresses.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
    let policy = match client.max_tokens_policy {
        MaxTokensPolicy::Reject => "reject",
        MaxTokensPolicy::Clamp => "clamp",
    };
    let members = json!({
        "name": client.name,
        "disabled": client.disabled,
        "allowed_endpoints": names(&client.allowed_endpoints),
        "allowed_providers": names(&client.allowed_providers),
        "allowed_models": models,
        "allowed_addresses": addresses,
        "default_provider": client.default_provider,
        "default_model": client.default_model,
        "max_tokens_limit": client.max_tokens_limit,
        "max_tokens_policy": policy,
        "rate_limit": {
            "requests_per_minute": limits.requests_per_minute,
            "tokens_per_minute": limits.tokens_per_minute,
            "tokens_per_day": limits.tokens_per_day,
            "concurrent_requests": limits.concurrent_requests,
            "mode": limits.mode.as_str(),
        },
        "budget": {
            "usd_per_day": limits.usd_per_day.map(dollars),
            "usd_per_month": limits.usd_per_month.map(dollars),
        },
        "priority": client.priority,
    });
    match members {
        Value::Object(members) => members,
        _ => Members::new(),
    }
}

/// What two states of a client differ in, as `{"rate_limit.mode": {"before": …, "after": …}}`. `None` is a client
/// that does not exist.
pub fn changes(before: Option<&Client>, after: Option<&Client>) -> Members {
    let (old, new) = (flat(before), flat(after));
    let names = new.keys().chain(old.keys().filter(|name| !new.contains_key(*name)));
    let mut changes = Members::new();
    for name in names {
        let (old, new) = (old.get(name), new.get(name));
        if old != new {
            changes.insert(name.clone(), json!({"before": old, "after": new}));
        }
    }
    // A new hash beside the same words is a change too.
    let (old, new) = (before.map(|client| &client.credentials), after.map(|client| &client.credentials));
    if old != new {
        let shown = |list: Option<&Vec<Credential>>| list.map(|list| list.iter().map(credential).collect());
        let (before, after): (Option<Value>, Option<Value>) = (shown(old), shown(new));
        changes.insert("credentials".to_owned(), json!({"before": before, "after": after}));
    }
    changes
}

/// The members with those of `rate_limit` and `budget` beside them, as `rate_limit.mode`. What says nothing is left
/// out.
fn flat(client: Option<&Client>) -> Members {
    let mut flat = Members::new();
    for (name, value) in client.map(members).unwrap_or_default() {
        match value {
            Value::Object(inner) => {
                flat.extend(inner.into_iter().map(|(inner, value)| (format!("{name}.{inner}"), value)));
            }
            value => drop(flat.insert(name, value)),
        }
    }
    flat.retain(|_, value| !value.is_null());
    flat
}

fn names(names: &NameSet) -> Vec<&str> {
    match names {
        NameSet::All => vec!["*"],
        NameSet::Only(names) => names.iter().map(|name| &**name).collect(),
    }
}

fn dollars(pico: u64) -> String {
    Usd(pico).to_string()
}

/// The credentials at a moment in milliseconds since 1970: what each is, when it holds, and whether it does then.
pub fn credentials(client: &Client, now_ms: u64) -> Vec<Value> {
    let shown = |own: &Credential| {
        let mut shown = credential(own);
        shown["valid"] = own.is_valid_at(now_ms).into();
        shown
    };
    client.credentials.iter().map(shown).collect()
}

fn credential(credential: &Credential) -> Value {
    let kind = match credential.kind {
        CredentialKind::Secret => "secret",
        CredentialKind::ApiKey => "api_key",
    };
    json!({
        "type": kind,
        "label": credential.label,
        "not_before": credential.not_before.and_then(moment),
        "expires_at": credential.expires_at.and_then(moment),
    })
}

fn moment(unix_ms: u64) -> Option<String> {
    let moment = Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()?;
    Some(moment.to_string())
}

#[cfg(test)]
mod tests {
    use gateway_actors::ClientId;
    use gateway_actors::client::SecretHash;
    use gateway_limits::{Limits, Mode, PICO_PER_USD};

    use super::*;

    fn ada() -> Client {
        Client::new(ClientId::parse("ada").unwrap())
    }

    #[test]
    fn two_clients_differ_in_the_members_that_differ() {
        let limits = Limits { usd_per_day: Some(5 * PICO_PER_USD), mode: Mode::Shadow, ..Limits::default() };
        let after = Client { name: "Ada".to_owned(), limits, ..ada() };
        let expected = json!({
            "name": {"before": "ada", "after": "Ada"},
            "rate_limit.mode": {"before": "enforce", "after": "shadow"},
            "budget.usd_per_day": {"before": null, "after": "5.00"},
        });
        assert_eq!(Value::Object(changes(Some(&ada()), Some(&after))), expected);
        assert_eq!(changes(Some(&after), Some(&after)), Members::new());
    }

    #[test]
    fn a_client_that_comes_or_goes_differs_in_all_that_it_says() {
        let made = changes(None, Some(&ada()));
        assert_eq!(made["name"], json!({"before": null, "after": "ada"}));
        assert!(!made.contains_key("budget.usd_per_day"), "what says nothing is no change");
        assert_eq!(changes(Some(&ada()), None)["priority"], json!({"before": 1, "after": null}));
    }

    #[test]
    fn a_credential_shows_its_kind_and_times_and_never_its_hash() {
        let key = |byte: u8| Credential {
            kind: CredentialKind::ApiKey,
            hash: SecretHash::Sha256([byte; 32]),
            not_before: None,
            expires_at: Some(1_795_996_800_000),
            label: Some("laptop".to_owned()),
        };
        let before = Client { credentials: vec![key(0xab)], ..ada() };
        let after = Client { credentials: vec![key(0xcd)], ..ada() };
        let shown = json!([{
            "type": "api_key", "label": "laptop", "not_before": null, "expires_at": "2026-11-30T00:00:00Z"
        }]);
        let expected = json!({"credentials": {"before": shown, "after": shown}});
        assert_eq!(Value::Object(changes(Some(&before), Some(&after))), expected);
    }
}
