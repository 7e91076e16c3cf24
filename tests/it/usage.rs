//! What was used, as the command `usage` and `GET /admin/usage` tell it, beside a gateway that runs and after its end.

use std::path::Path;
use std::process::Output;

use gateway_testkit::deadline::patiently;
use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::{FakeUpstream, Reply, TestGateway, chat_with};
use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Value, json};

use crate::program::{Program, command};

/// One model with a price of its own for every kind of token; all others have none.
const PRICES: &str = "[openai.gpt-dear]\ninput = 2\ncached_input = 0.5\noutput = 8\nreasoning = 9\n[openai.gpt-cheap]\ninput = '0.05'\noutput = 0.4\n";

struct Done {
    code: i32,
    said: String,
    told: String,
}

/// What the command says in a folder.
fn usage(folder: &Path, arguments: &[&str]) -> Done {
    let arguments: Vec<&str> = ["usage"].into_iter().chain(arguments.iter().copied()).collect();
    let Output { status, stdout, stderr } = command(folder, &arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: status.code().unwrap(), said: text(stdout), told: text(stderr) }
}

/// What it says where it must end well.
fn said(folder: &Path, arguments: &[&str]) -> String {
    let done = usage(folder, arguments);
    assert_eq!((done.code, &*done.told), (0, ""), "{arguments:?}");
    done.said
}

fn chat(client: &str, model: &str) -> Request {
    chat_with(client, json!({"model": model, "messages": [{"role": "user", "content": "hi"}]}))
}

fn today() -> String {
    Offset::UTC.to_datetime(Timestamp::now()).date().to_string()
}

/// A folder whose gateway has two clients and this upstream.
fn folder(upstream: &FakeUpstream) -> impl AsRef<Path> {
    let gateway = TestGateway::with(upstream).models(PRICES);
    gateway.client("ada", json!({})).client("bob", json!({"budget": {"usd_per_day": "1"}})).write()
}

/// A question to the admin route.
async fn ask_usage(folder: &Path, gateway: &Program, query: &str) -> Answer {
    let token = std::fs::read_to_string(folder.join("data/admin-token")).unwrap();
    let request = Request::get(&format!("/admin/usage{query}"));
    gateway.ask(&request.header("authorization", &format!("Bearer {}", token.trim()))).await
}

/// Resolves when the ledger has so many calls: their end is written just behind their answers.
async fn are_booked(folder: &Path, gateway: &Program, calls: u64) {
    let booked = async || ask_usage(folder, gateway, "").await.json()["total"]["requests"].as_u64().unwrap();
    patiently("the calls are in the ledger", async { while booked().await < calls {} }).await;
}

/// Two calls of ada's, one of bob's.
async fn use_some(upstream: &FakeUpstream, gateway: &Program) {
    let details = json!({
        "prompt_tokens": 1_000, "completion_tokens": 50, "total_tokens": 1_050,
        "prompt_tokens_details": {"cached_tokens": 600}, "completion_tokens_details": {"reasoning_tokens": 20},
    });
    for (client, model, reply) in [
        ("ada", "gpt-dear", Reply::text("yes").usage_object(&details)),
        ("ada", "gpt-cheap", Reply::text("yes").tokens(10, 3)),
        ("bob", "gpt-cheap", Reply::text("yes").tokens(20, 5)),
    ] {
        upstream.script(reply);
        let answer = gateway.ask(&chat(client, model)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// The three calls as a table, one row per client and model.
const TABLE: &str = "\
client  model      requests  input  cached  output  reasoning  tokens        USD
ada     gpt-cheap         1     10       0       3          0      13  0.0000017
ada     gpt-dear          1    400     600      30         20    1050  0.0015200
bob     gpt-cheap         1     20       0       5          0      25  0.0000030
total                     3    430     600      38         20    1088  0.0015247
";

/// The same as CSV.
const CSV: &str = "\
client,model,requests,failed_requests,input_tokens,cached_input_tokens,cache_write_tokens,output_tokens,reasoning_tokens,tokens,usd,requests_without_price,failed_attempts,failed_attempt_tokens,failed_attempt_usd
ada,gpt-cheap,1,0,10,0,0,3,0,13,0.0000017,0,0,0,0.00
ada,gpt-dear,1,0,400,600,0,30,20,1050,0.00152,0,0,0,0.00
bob,gpt-cheap,1,0,20,0,0,5,0,25,0.000003,0,0,0,0.00
";

#[cfg(unix)]
#[tokio::test]
async fn the_command_tells_what_was_used_while_the_gateway_runs_and_after_its_end() {
    let upstream = FakeUpstream::start().await;
    let folder = folder(&upstream);
    let mut gateway = Program::start(folder.as_ref()).await;
    use_some(&upstream, &gateway).await;
    are_booked(folder.as_ref(), &gateway, 3).await;
    let tells_all = |when: &str| {
        assert_eq!(said(folder.as_ref(), &[]), TABLE, "{when}");
        assert_eq!(said(folder.as_ref(), &["--format", "csv"]), CSV, "{when}");
        let json: Value = serde_json::from_str(&said(folder.as_ref(), &["--format", "json"])).unwrap();
        assert_eq!(json["usage"].as_array().unwrap().len(), 3, "{when}");
        assert_eq!(
            json["usage"][1],
            json!({
                "client": "ada", "model": "gpt-dear", "requests": 1, "failed_requests": 0,
                "input_tokens": 400, "cached_input_tokens": 600, "cache_write_tokens": 0, "output_tokens": 30,
                "reasoning_tokens": 20, "tokens": 1_050, "usd": 0.00152, "requests_without_price": 0,
                "failed_attempts": 0, "failed_attempt_tokens": 0, "failed_attempt_usd": 0.0,
            })
        );
        assert_eq!((&json["total"]["requests"], &json["total"]["usd"]), (&json!(3), &json!(0.0015247)));
    };
    tells_all("while it runs");
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, 0);
    tells_all("after its end");
    // Another process goes on where the first one ended.
    let gateway = Program::start(folder.as_ref()).await;
    tells_all("after a restart");
    use_some(&upstream, &gateway).await;
    are_booked(folder.as_ref(), &gateway, 6).await;
    let json: Value = serde_json::from_str(&said(folder.as_ref(), &["--format", "json"])).unwrap();
    assert_eq!((&json["total"]["requests"], &json["total"]["usd"]), (&json!(6), &json!(0.0030494)));
}

#[tokio::test]
async fn rows_are_told_apart_by_the_columns_asked_for_and_taken_from_the_days_asked_for() {
    let upstream = FakeUpstream::start().await;
    let folder = folder(&upstream);
    let gateway = Program::start(folder.as_ref()).await;
    let before = today();
    use_some(&upstream, &gateway).await;
    are_booked(folder.as_ref(), &gateway, 3).await;
    if today() != before {
        // Midnight came between two of the calls.
        return;
    }
    let rows = |arguments: &[&str]| -> Vec<String> {
        let arguments: Vec<&str> = [arguments, &["--format", "csv"]].concat();
        let csv = said(folder.as_ref(), &arguments);
        let keys = csv.lines().next().unwrap().split(',').position(|name| name == "requests").unwrap();
        let row = |line: &str| line.split(',').take(keys + 1).collect::<Vec<_>>().join(" ");
        csv.lines().skip(1).map(row).collect()
    };
    assert_eq!(rows(&["--by", "model"]), ["gpt-cheap 2", "gpt-dear 1"]);
    assert_eq!(rows(&["--by", "provider,client"]), ["openai ada 2", "openai bob 1"]);
    assert_eq!(rows(&["--by", "day"]), [format!("{before} 3")]);
    assert_eq!(rows(&["--client", "bob", "--by", "client,day"]), [format!("bob {before} 1")]);
    assert_eq!(rows(&["--from", "today", "--by", "client"]), ["ada 2", "bob 1"]);
    assert_eq!(rows(&["--from", &before, "--to", &before, "--by", "client"]), ["ada 2", "bob 1"]);
    assert_eq!(rows(&["--to", "yesterday"]), [""; 0]);
    let nobody = usage(folder.as_ref(), &["--client", "nobody"]);
    assert_eq!(nobody.code, 0);
    assert!(nobody.told.contains("no client is called `nobody`"), "{}", nobody.told);
    let nothing = said(folder.as_ref(), &["--to", "yesterday"]);
    assert_eq!(nothing, "client  model  requests  tokens   USD\ntotal                 0       0  0.00\n");
}

#[tokio::test]
async fn calls_without_a_price_are_counted_apart() {
    let upstream = FakeUpstream::start().await;
    let folder = folder(&upstream);
    let gateway = Program::start(folder.as_ref()).await;
    upstream.always(Reply::text("yes").tokens(10, 3));
    for model in ["gpt-cheap", "gpt-new", "gpt-new"] {
        assert_eq!(gateway.ask(&chat("ada", model)).await.status, 200);
    }
    are_booked(folder.as_ref(), &gateway, 3).await;
    let expected = "\
model      requests  input  output  tokens        USD  without price
gpt-cheap         1     10       3      13  0.0000017              0
gpt-new           2     20       6      26  0.0000000              2
total             3     30       9      39  0.0000017              2
";
    assert_eq!(said(folder.as_ref(), &["--by", "model"]), expected);
}

#[tokio::test]
async fn what_cannot_be_answered_says_why_and_with_which_code() {
    let upstream = FakeUpstream::start().await;
    let folder = folder(&upstream);
    // No gateway has run here.
    let done = usage(folder.as_ref(), &[]);
    assert_eq!((done.code, &*done.said), (1, ""), "{}", done.told);
    assert!(done.told.contains("ledger.db"), "{}", done.told);
    for (arguments, told) in [
        (&["--from", "soon"][..], "`soon` is not a day"),
        (&["--by", "client,key"], "unknown column `key`"),
        (&["--by", "day,day"], "column `day` is named twice"),
        (&["--client", "a b"], "a client id is 1 to 64"),
        (&["--format", "xml"], "xml"),
        (&["--from", "2026-11-02", "--to", "2026-11-01"], "no span of days"),
    ] {
        let done = usage(folder.as_ref(), arguments);
        assert_eq!((done.code, &*done.said), (2, ""), "{arguments:?}: {}", done.told);
        assert!(done.told.contains(told), "{arguments:?}: {}", done.told);
    }
    std::fs::write(folder.as_ref().join("gateway.toml"), "[server").unwrap();
    let done = usage(folder.as_ref(), &[]);
    assert_eq!((done.code, &*done.said), (2, ""));
    assert!(done.told.contains("gateway.toml:1"), "{}", done.told);
}

#[tokio::test]
async fn the_admin_route_answers_as_the_command_does() {
    let upstream = FakeUpstream::start().await;
    let folder = folder(&upstream);
    let gateway = Program::start(folder.as_ref()).await;
    use_some(&upstream, &gateway).await;
    are_booked(folder.as_ref(), &gateway, 3).await;
    let ask = async |query| ask_usage(folder.as_ref(), &gateway, query).await;
    let json = ask("").await;
    assert_eq!((json.status, json.header("content-type")), (200, Some("application/json")));
    assert_eq!(json.header("cache-control"), Some("no-store"));
    assert_eq!(format!("{}\n", json.text()), said(folder.as_ref(), &["--format", "json"]));
    let csv = ask("?format=csv&by=client,model").await;
    assert_eq!((csv.status, csv.header("content-type")), (200, Some("text/csv; charset=utf-8")));
    assert_eq!(format!("{}\n", csv.text()), CSV);
    let bob = ask("?client=bob&from=today&to=today&by=provider%2Cclient&format=json").await;
    assert_eq!(bob.json()["usage"][0]["client"], "bob");
    assert_eq!(bob.json()["total"]["tokens"], 25);

    for (query, told) in [
        ("?from=soon", "parameter `from`: `soon` is not a day"),
        ("?by=key", "parameter `by`: unknown column `key`"),
        ("?format=table", "parameter `format`: unknown form; use json or csv"),
        ("?client=a%20b", "parameter `client`: a client id is 1 to 64"),
        ("?from=2026-11-02&to=2026-11-01", "parameter `from`: from 2026-11-02 to 2026-11-01 is no span"),
        ("?form=csv", "parameter `form`: unknown; the parameters are client, from, to, by and format"),
        ("?by=day&by=client", "parameter `by`: given twice"),
    ] {
        let answer = ask(query).await;
        assert_eq!(answer.status, 400, "{query}");
        let body = answer.json();
        assert!(body["detail"].as_str().unwrap().starts_with(told), "{query}: {body}");
    }
}
