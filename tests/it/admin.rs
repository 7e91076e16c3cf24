//! The operators' routes, their token, and the route table against the OpenAPI document.

use std::collections::BTreeSet;
use std::time::Duration;

use dsp_ai_gateway::admin_token::AdminToken;
use dsp_ai_gateway::openapi;
use dsp_ai_gateway::routes::{self, Access, ROUTES};
use gateway_testkit::raw_client::Request;
use gateway_testkit::{FakeUpstream, Reply, TestGateway};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

/// Nobody listens here.
const NOWHERE: &str = "http://127.0.0.1:9/v1";

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[test]
fn the_openapi_document_and_the_route_table_name_the_same_operations() {
    let mut documented = BTreeSet::new();
    for (method, path) in openapi::paths() {
        // What stands in braces is any one segment, or the rest; behind models that is a method, too.
        let parts = path.split('{').enumerate();
        let any: String = parts
            .map(|(at, part)| if at == 0 { part } else { part.split_once('}').unwrap().1 })
            .collect::<Vec<_>>()
            .join("any:generateContent");
        let found = routes::find(&method, &any).unwrap_or_else(|_| panic!("no route for {method} {path}"));
        documented.insert(format!("{} {}", found.line.method, found.line.path));
    }
    let routed: BTreeSet<String> =
        ROUTES.iter().map(|line| format!("{} {}", line.method, line.path)).collect();
    assert_eq!(routed.len(), ROUTES.len(), "no route stands there twice");
    assert_eq!(documented, routed);
}

#[test]
fn a_star_in_the_middle_of_a_path_is_one_segment() {
    let found =
        |path: &str| routes::find(&Method::POST, path).map(|found| (found.line.route, found.rest.to_owned()));
    assert_eq!(found("/admin/clients/ada/rotate"), Ok((routes::Route::AdminClientRotate, "ada".to_owned())));
    for path in [
        "/admin/clients//rotate",
        "/admin/clients/a/b/rotate",
        "/admin/clients/rotate",
        "/admin/clients/ada/rotate/",
    ] {
        assert!(found(path).is_err(), "{path}");
    }
}

#[tokio::test]
async fn admin_routes_open_to_the_token_alone() {
    let gateway = TestGateway::at(NOWHERE).client("ada", json!({})).start().await;
    let token = gateway.admin_token();
    assert!(token.len() >= 32, "too long to be guessed");
    let (right, doubled) = (bearer(&token), format!("Bearer {token}{token}"));
    let cut = bearer(&token[..token.len() - 1]);
    // These two are in `explain.rs`: one has no end, and one needs a request that there was.
    let is_special = |path| ["/admin/live", "/admin/requests/*"].contains(&path);
    for line in ROUTES.iter().filter(|line| line.access == Access::Admin && !is_special(line.path)) {
        let path = line.path.replace('*', "ada");
        let ask = |lines: &[(&str, &str)]| {
            let request = Request::new(line.method.as_str(), &path);
            let request = match line.path {
                "/admin/clients" if line.method == Method::POST => {
                    request.json(&json!({"id": format!("made-{:x}", rand::random::<u64>())}))
                }
                "/admin/clients/*" if line.method == Method::PATCH => request.json(&json!({})),
                _ => request,
            };
            lines.iter().fold(request, |request, (name, value)| request.header(name, value))
        };
        let answer = gateway.ask(&ask(&[("Authorization", &right)])).await;
        assert!(matches!(answer.status, 200 | 201), "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let lower = right.to_lowercase();
        let status = gateway.ask(&ask(&[("authorization", &lower)])).await.status;
        assert!(matches!(status, 200 | 201), "a scheme in any case");
        for lines in [
            vec![],
            vec![("authorization", "Bearer wrong")],
            vec![("authorization", "Bearer ")],
            vec![("authorization", "Bearer")],
            vec![("authorization", &*token)],
            vec![("authorization", &*cut)],
            vec![("authorization", &*doubled)],
            vec![("authorization", &*right), ("authorization", &*right)],
            vec![("authorization", "Bearer key-ada")],
            vec![("x-api-key", &*token)],
            vec![("x-api-key", "key-ada")],
        ] {
            let answer = gateway.ask(&ask(&lines)).await;
            assert_eq!(answer.status, 401, "{path} {lines:?}");
            let expected = "the admin token is missing or wrong; send it as `Authorization: Bearer TOKEN`";
            assert_eq!(answer.json(), json!({"detail": expected}));
        }
        let query = Request::new(line.method.as_str(), &format!("{path}?token={token}"));
        assert_eq!(gateway.ask(&query).await.status, 401);
    }
    // Nor does the token open what is a client's.
    let models = Request::get("/v1/models").header("authorization", &right);
    assert_eq!(gateway.ask(&models).await.status, 401);
    gateway.ends_quiet().await;
}

fn opens(token: &AdminToken, text: &str) -> bool {
    let value = HeaderValue::try_from(bearer(text)).unwrap();
    token.opens(&HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

#[tokio::test]
async fn the_token_is_made_at_the_first_start_for_its_owners_eyes_and_kept() {
    let gateway = TestGateway::at(NOWHERE).start().await;
    let data = gateway.folder().join("data");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(data.join("admin-token")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let token = gateway.admin_token();
    let second_start = AdminToken::load(None, &data).unwrap();
    assert!(opens(&second_start, &token));
    assert_eq!(gateway.admin_token(), token, "the file is as it was");
    let other = TestGateway::at(NOWHERE).start().await;
    assert_ne!(other.admin_token(), token);
    assert!(!opens(&second_start, &other.admin_token()));
    assert!(!format!("{second_start:?}").contains(&token));
    gateway.ends_quiet().await;
    other.ends_quiet().await;
}

#[tokio::test]
async fn a_token_that_is_configured_holds_and_none_is_made() {
    let gateway = TestGateway::at(NOWHERE).env("GATEWAY_ADMIN_TOKEN=chosen-by-hand").start().await;
    assert!(!gateway.folder().join("data/admin-token").exists());
    let ask = async |token: &str| {
        let request = Request::get("/admin/tree").header("authorization", &bearer(token));
        gateway.ask(&request).await.status
    };
    assert_eq!((ask("chosen-by-hand").await, ask("").await), (200, 401));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn an_admin_route_with_another_method_or_name_is_refused_in_json() {
    let gateway = TestGateway::at(NOWHERE).client("ada", json!({})).start().await;
    let token = bearer(&gateway.admin_token());
    for (method, path, status, allow) in [
        ("GET", "/admin/reload", 405, Some("POST")),
        ("POST", "/admin/tree", 405, Some("GET, HEAD")),
        ("DELETE", "/admin/clients/ada", 405, Some("GET, HEAD, PATCH")),
        ("POST", "/admin/clients/ada", 405, Some("GET, HEAD, PATCH")),
        ("PUT", "/admin/clients", 405, Some("GET, HEAD, POST")),
        ("GET", "/admin", 404, None),
        ("GET", "/admin/nothing", 404, None),
        ("GET", "/admin/clients/nobody", 404, None),
        ("GET", "/admin/clients/", 404, None),
        ("GET", "/admin/clients/../tree", 404, None),
        ("GET", "/admin/clients/ada/rotate", 405, Some("POST")),
        ("POST", "/admin/clients/ada/nothing", 404, None),
        ("GET", "/admin/tree/", 404, None),
    ] {
        let answer = gateway.ask(&Request::new(method, path).header("authorization", &token)).await;
        assert_eq!((answer.status, answer.header("allow")), (status, allow), "{method} {path}");
        assert!(answer.json()["detail"].is_string(), "{path}: {}", answer.text());
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_clients_numbers_are_those_of_its_limiter_also_while_a_stream_is_open() {
    let upstream = FakeUpstream::start().await;
    let limits = json!({"requests_per_minute": 60, "tokens_per_minute": 40_000, "tokens_per_day": 50_000, "concurrent_requests": 3});
    let gateway = TestGateway::with(&upstream)
        .client("ada", json!({"name": "Ada", "rate_limit": limits, "max_tokens_limit": 1000}))
        .client("free", json!({}))
        .start()
        .await;
    let ada = async || gateway.admin("/admin/clients/ada").await;
    let numbers = |requests: u64, minute: u64, day: u64, calls: u64| {
        json!({
            "requests_per_minute": requests, "tokens_per_minute": minute, "tokens_per_day": day,
            "concurrent_requests": calls,
        })
    };
    let untouched = json!({
        "id": "ada", "name": "Ada", "disabled": false, "credentials": [{
            "type": "api_key", "label": null, "not_before": null, "expires_at": null, "valid": true
        }],
        "limits": numbers(60, 40_000, 50_000, 3), "used": numbers(0, 0, 0, 0), "reserved": numbers(0, 0, 0, 0),
        "remaining": numbers(60, 40_000, 50_000, 3), "in_flight": 0,
        "tokens_today": 0, "usd_today": 0.0, "usd_this_month": 0.0, "debt": 0, "usd_debt": 0.0,
        "settings": {
            "name": "Ada", "disabled": false, "allowed_endpoints": ["*"], "allowed_providers": ["*"],
            "allowed_models": ["*"], "allowed_addresses": null, "default_provider": "openai",
            "default_model": null, "max_tokens_limit": 1000, "max_tokens_policy": "reject",
            "rate_limit": {
                "requests_per_minute": 60, "tokens_per_minute": 40_000, "tokens_per_day": 50_000,
                "concurrent_requests": 3, "mode": "enforce",
            },
            "budget": {"usd_per_day": null, "usd_per_month": null}, "priority": 1,
        },
    });
    assert_eq!(ada().await, untouched);

    upstream.script(Reply::stream(["Hel", "lo"]).stall_after(1));
    let stream = gateway.stream("ada", "hi").await;
    let open = ada().await;
    assert_eq!((&open["in_flight"], &open["used"]["requests_per_minute"]), (&json!(1), &json!(1)));
    assert_eq!(open["used"]["tokens_per_day"], 0, "nothing is used for good yet");
    let reserved = open["reserved"]["tokens_per_day"].as_u64().unwrap();
    assert!(reserved > 1000, "the prompt and the output's cap: {reserved}");
    assert_eq!(open["reserved"]["tokens_per_minute"], reserved);
    assert_eq!(open["remaining"]["tokens_per_day"], 50_000 - reserved);
    assert_eq!(open["remaining"]["concurrent_requests"], 2);
    stream.hang_up();
    gateway.is_quiet().await;

    upstream.script(Reply::text("Hello").tokens(7, 3));
    let left = ada().await["used"]["tokens_per_day"].as_u64().unwrap();
    assert!(left > 0 && left < reserved, "who leaves pays what it caused: {left}");
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    upstream.script(Reply::text("Hello").tokens(20, 5));
    assert_eq!(gateway.chat("free", "hi").await.status, 200);
    let after = ada().await;
    assert_eq!(after["tokens_today"], left + 10);
    assert_eq!(after["used"], numbers(2, left + 10, left + 10, 0));
    assert_eq!(after["reserved"], numbers(0, 0, 0, 0));
    assert_eq!(after["in_flight"], 0);

    // The list has all clients by name, each as it stands alone.
    let all = gateway.admin("/admin/clients").await;
    let ids: Vec<&Value> = all["clients"].as_array().unwrap().iter().map(|client| &client["id"]).collect();
    assert_eq!(ids, ["ada", "free"]);
    assert_eq!(all["clients"][0], after);
    assert_eq!(all["clients"][1]["limits"], json!({}), "without limits there are no numbers but these");
    assert_eq!((&all["clients"][1]["tokens_today"], &all["clients"][1]["used"]), (&json!(25), &json!({})));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn nothing_that_an_operator_is_shown_holds_a_secret_or_a_hash() {
    let upstream = FakeUpstream::start().await;
    let hash = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";
    let gateway =
        TestGateway::with(&upstream).client("ada", json!({"client_secret_hash": hash})).start().await;
    assert_eq!(gateway.chat("ada", "a prompt of hers").await.status, 200);
    for path in [
        "/admin/tree",
        "/admin/clients",
        "/admin/clients/ada",
        "/admin/providers",
        "/admin/usage",
        "/admin/health",
        "/admin/audit",
    ] {
        let shown = gateway.admin(path).await.to_string();
        for secret in [hash, "key-ada", "sk-test-upstream-key", &gateway.admin_token(), "a prompt of hers"] {
            assert!(!shown.contains(secret), "{path} shows {secret}");
        }
    }
    gateway.ends_quiet().await;
}

/// The tree as lines of `name (kind) state`, indented by depth.
fn lines(nodes: &Value, depth: usize, into: &mut Vec<String>) {
    for node in nodes.as_array().unwrap() {
        let text = |member: &str| node[member].as_str().unwrap();
        into.push(format!("{}{} ({}) {}", "  ".repeat(depth), text("name"), text("kind"), text("state")));
        assert!(node["restarts"].is_u64() && node["age_ms"].is_u64(), "{node}");
        assert!(node["mailbox"]["depth"].as_u64().unwrap() <= node["mailbox"]["max"].as_u64().unwrap());
        lines(&node["children"], depth + 1, into);
    }
}

async fn tree(gateway: &TestGateway) -> Vec<String> {
    let mut all = Vec::new();
    lines(&gateway.admin("/admin/tree").await["tree"], 0, &mut all);
    all
}

#[tokio::test]
async fn the_tree_shows_every_actor_below_its_supervisor() {
    let upstream = FakeUpstream::start().await;
    let toml = format!(
        "[[providers.pool.keys]]\nname = \"eu\"\nbase_url = \"{0}\"\n[[providers.pool.keys]]\nname = \"us\"\nbase_url = \"{0}\"\n",
        upstream.base_url()
    );
    let gateway = TestGateway::with(&upstream)
        .toml(&toml)
        .client("ada", json!({}))
        .client("grace", json!({}))
        .start()
        .await;
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    let expected = [
        "Gateway (Gateway) running",
        "  ClientRegistry (ClientRegistry) running",
        "  Clients (ClientsSupervisor) running",
        "    RateLimiter ada (RateLimiter) running",
        "  Ledger (Ledger) running",
        "  Providers (ProvidersSupervisor) running",
        "    ProviderPool echo (ProviderPool) running",
        "      Provider echo/0 (Provider) running",
        "    ProviderPool openai (ProviderPool) running",
        "      Provider openai/0 (Provider) running",
        "    ProviderPool pool (ProviderPool) running",
        "      Provider pool/eu (Provider) running",
        "      Provider pool/us (Provider) running",
    ];
    assert_eq!(tree(&gateway).await, expected, "grace has not called yet");
    assert_eq!(gateway.chat("grace", "hi").await.status, 200);
    assert!(tree(&gateway).await.contains(&"    RateLimiter grace (RateLimiter) running".to_owned()));
    let whole = gateway.admin("/admin/tree").await;
    assert_eq!((&whole["open_admissions"], &whole["calls_in_flight"]), (&json!(0), &json!(0)));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_tree_counts_what_is_open_and_how_often_an_actor_was_started_again() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    upstream.script(Reply::stream(["a", "b"]).stall_after(1));
    let stream = gateway.stream("ada", "hi").await;
    let whole = gateway.admin("/admin/tree").await;
    assert_eq!((&whole["open_admissions"], &whole["calls_in_flight"]), (&json!(1), &json!(1)));
    let limiter = gateway.actor("RateLimiter ada");
    limiter.cell().unwrap().kill();
    gateway.until("the limiter is back", || limiter.restarts() == 1 && limiter.cell().is_some()).await;
    let whole = gateway.admin("/admin/tree").await.to_string();
    assert!(
        whole.contains(r#""name":"RateLimiter ada","kind":"RateLimiter","state":"running","restarts":1"#),
        "{whole}"
    );
    stream.hang_up();
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn providers_show_their_keys_with_calls_in_flight_answers_and_failures() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .once()
        .toml(
            "[providers.keyless]\nbase_url = \"http://127.0.0.1:9/v1\"\napi_key_env = \"KEYLESS_API_KEY\"\n",
        )
        .provider("max_concurrency = 7")
        .client("ada", json!({}))
        .start()
        .await;
    let named = async |name: &str| {
        let all = gateway.admin("/admin/providers").await;
        let all = all["providers"].as_array().unwrap().clone();
        all.into_iter().find(|provider| provider["name"] == name).unwrap()
    };
    let openai = named("openai").await;
    assert_eq!(
        (&openai["kind"], &openai["can_be_called"], &openai["max_concurrency"]),
        (&json!("openai"), &json!(true), &json!(7))
    );
    let idle = json!([{
        "name": "0", "breaker": "closed", "rests_ms": null, "models": [], "in_flight": 0, "answered": 0, "failed": 0, "abandoned": 0,
        "consecutive_failures": 0, "first_byte_ms": null, "last_failure": null,
    }]);
    assert_eq!(openai["keys"], idle);
    assert_eq!(
        (&named("echo").await["kind"], &named("echo").await["max_concurrency"]),
        (&json!("echo"), &Value::Null)
    );
    assert_eq!(named("keyless").await["can_be_called"], false);

    upstream.script(Reply::stream(["a", "b"]).stall_after(1));
    let stream = gateway.stream("ada", "hi").await;
    let key = named("openai").await["keys"][0].clone();
    assert_eq!(key["in_flight"], 1);
    stream.hang_up();
    gateway.is_quiet().await;
    upstream.script(Reply::error(500));
    assert_eq!(gateway.chat("ada", "hi").await.status, 502);
    let key = named("openai").await["keys"][0].clone();
    assert_eq!((&key["in_flight"], &key["failed"]), (&json!(0), &json!(1)), "{key}");
    assert_eq!(
        (&key["last_failure"]["what"], &key["consecutive_failures"]),
        (&json!("status 500"), &json!(1)),
        "{key}"
    );
    upstream.script(Reply::error(400));
    assert_eq!(
        gateway.chat("ada", "hi").await.status,
        400,
        "what is the caller's fault is none of the key's: it has answered"
    );
    let key = named("openai").await["keys"][0].clone();
    assert_eq!((&key["failed"], &key["consecutive_failures"]), (&json!(1), &json!(0)), "{key}");
    let model = &key["models"][0];
    assert_eq!((&model["model"], &model["breaker"]), (&json!("gpt-test"), &json!("closed")), "{key}");
    assert!(model["latency_ms"].is_number(), "{key}");
    // As the fake upstream tells it with each answer.
    assert_eq!(model["quota"]["requests"]["limit"], 10_000, "{key}");
    assert!(model["quota"]["tokens"]["remaining"].is_number(), "{key}");
    assert!(key["first_byte_ms"].as_f64().unwrap() < Duration::from_secs(60).as_secs_f64() * 1e3);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn an_admin_reload_reports_what_it_changed() {
    let gateway = TestGateway::at(NOWHERE)
        .client("changed", json!({}))
        .client("gone", json!({}))
        .client("same", json!({}))
        .start()
        .await;
    gateway.write_client("changed", &json!({"name": "Other"}));
    gateway.write_client("added", &json!({}));
    std::fs::remove_file(gateway.folder().join("clients/gone.json")).unwrap();
    let token = bearer(&gateway.admin_token());
    let reload = Request::new(Method::POST.as_str(), "/admin/reload").header("authorization", &token);
    let report = gateway.ask(&reload).await.json();
    assert_eq!(report["generation"], 2);
    assert_eq!(
        (&report["added"], &report["changed"], &report["removed"]),
        (&json!(["added"]), &json!(["changed"]), &json!(["gone"]))
    );
    assert_eq!((&report["unchanged"], &report["count"]), (&json!(1), &json!(3)));
    assert_eq!(gateway.ask(&reload).await.json()["generation"], 3);
    std::fs::write(gateway.folder().join("clients/added.json"), "{").unwrap();
    let refused = gateway.ask(&reload).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("added.json"), "{}", refused.text());
    gateway.ends_quiet().await;
}
