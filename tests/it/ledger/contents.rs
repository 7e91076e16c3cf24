//! What is in the file, and who may read it meanwhile.

use gateway_testkit::raw_client::Request;
use gateway_testkit::{Reply, chat_with};
use serde_json::{Value, json};

use super::{BILLED, Site, answers};

/// Words of prompts and answers, and all secrets there are: of none may a trace be found.
const UNSPEAKABLE: [&str; 9] = [
    "MARK-OF-A-PROMPT",
    "MARK-OF-AN-ANSWER",
    "MARK-OF-AN-ERROR",
    "MARK-OF-A-HEADER",
    "MARK-OF-A-WRONG-KEY",
    "key-ada",
    "sk-test-upstream-key",
    "sha256:",
    "authorization",
];

/// Has words of every sort pass through the gateway.
async fn speaks_of_everything(site: &Site, program: &crate::program::Program) {
    let prompt = json!([{"role": "user", "content": "MARK-OF-A-PROMPT"}]);
    let ask = |stream: bool| {
        let members = json!({"messages": prompt, "stream": stream, "user": "MARK-OF-A-PROMPT"});
        let request = chat_with("ada", members).header("x-request-id", "MARK-OF-A-HEADER");
        request.header("idempotency-key", "MARK-OF-A-HEADER")
    };
    let error = json!({"error": {"message": "MARK-OF-AN-ERROR", "type": "server_error"}});
    for reply in [
        Reply::text("MARK-OF-AN-ANSWER").tokens(7, 3),
        Reply::stream(["MARK-OF-", "AN-ANSWER MARK-OF-AN-ANSWER"]).tokens(7, 3),
        Reply::json(&error).status(400),
        Reply::json(&error).status(500),
        Reply::stream(["MARK-OF-AN-ANSWER", "MARK-OF-AN-ANSWER"]).cut_after(1),
    ] {
        for stream in [false, true] {
            site.upstream.script(reply.clone());
            program.ask(&ask(stream)).await;
        }
    }
    let wrong = Request::post("/v1/chat/completions").header("authorization", "Bearer MARK-OF-A-WRONG-KEY");
    assert_eq!(program.ask(&wrong.json(&json!({"model": "gpt-test", "messages": prompt}))).await.status, 401);
}

#[tokio::test]
async fn no_file_beside_the_ledger_holds_a_word_of_a_prompt_an_answer_or_a_secret() {
    let site = Site::new().await;
    let program = site.start().await;
    speaks_of_everything(&site, &program).await;
    site.is_written(&program).await;
    let token = std::fs::read_to_string(site.data("admin-token")).unwrap();
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.mark", "ledger.db.lock"] {
        let bytes = std::fs::read(site.data(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        for word in UNSPEAKABLE.into_iter().chain([token.trim()]) {
            assert!(!text.contains(&word.to_lowercase()), "{name} holds `{word}`");
        }
    }
    // The test would find what is there.
    let wal = std::fs::read(site.data("ledger.db-wal")).unwrap();
    assert!(String::from_utf8_lossy(&wal).contains("gpt-test"));
}

#[tokio::test]
async fn others_may_read_it_for_as_long_as_they_like_and_see_each_call_as_it_is_settled() {
    let site = Site::new().await;
    let program = site.start().await;
    answers(&program, 2).await;
    site.is_written(&program).await;
    let reader = site.sqlite();
    reader.execute_batch("BEGIN; SELECT count(*) FROM calls").unwrap();
    let used = |conn: &rusqlite::Connection| -> i64 {
        conn.query_row("SELECT sum(tokens) FROM usage_by_day", (), |row| row.get(0)).unwrap()
    };
    let billed = i64::try_from(BILLED).unwrap();
    assert_eq!(used(&reader), 2 * billed);
    answers(&program, 20).await;
    site.is_written(&program).await;
    assert_eq!(used(&reader), 2 * billed, "a reader sees one moment");
    assert_eq!(used(&site.sqlite()), 22 * billed);
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(used(&reader), 22 * billed);
    assert_eq!(site.trouble(&program).await, None);
}

#[tokio::test]
async fn a_person_can_read_a_call() {
    let site = Site::new().await;
    let program = site.start().await;
    answers(&program, 1).await;
    site.is_written(&program).await;
    let read = "SELECT json_array(client, endpoint, provider, model, ending, grade, attempts, tokens, input, output, usd) \
                FROM calls_readable";
    let call: String = site.sqlite().query_row(read, (), |row| row.get(0)).unwrap();
    let call: Value = serde_json::from_str(&call).unwrap();
    let expected = json!([
        "ada",
        "chat/completions",
        "openai",
        "gpt-test",
        "answered",
        "reported",
        1,
        10,
        7,
        3,
        0.00001
    ]);
    assert_eq!(call, expected);
}
