//! What a client has used is what it has used, however its gateway ended.

use gateway_testkit::{Reply, chat_request};
use serde_json::json;

use super::{BILLED, Site, answers, chat, is_logged};
use crate::program::Program;

/// The two ways in which a process ends: in order, and by a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Term,
    Kill,
}

const WAYS: [Way; 2] = [Way::Term, Way::Kill];

/// Another process in the place of this one.
async fn restarted(site: &Site, mut program: Program, way: Way) -> Program {
    match way {
        Way::Term => {
            program.signal("TERM");
            assert_eq!(program.ended().await, 0, "{}", program.log());
        }
        Way::Kill => {
            site.is_written(&program).await;
            drop(program);
        }
    }
    site.start().await
}

#[tokio::test]
async fn the_minute_the_day_and_the_budget_go_on_over_restarts() {
    for way in WAYS {
        let site = Site::with("", json!({"requests_per_minute": 6})).await;
        let mut program = site.start().await;
        for _ in 0..3 {
            answers(&program, 2).await;
            program = restarted(&site, program, way).await;
        }
        let refused = chat(&program).await;
        assert_eq!(refused.header("x-ratelimit-limited-by"), Some("requests_per_minute"), "{way:?}");
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait} s, as if nobody had restarted it");
        assert_eq!(site.used(&program).await, 6 * BILLED, "{way:?}");
        assert_eq!(site.upstream.requests(), 6);
        let ada = site.admin(&program, "/admin/clients/ada").await;
        assert_eq!(ada["used"]["requests_per_minute"], 6, "{way:?}: {ada}");
    }
}

#[tokio::test]
async fn a_day_that_is_spent_stays_spent() {
    for way in WAYS {
        let site = Site::with("", json!({"tokens_per_day": 100_000})).await;
        let program = site.start().await;
        site.upstream.script(Reply::text("yes").tokens(90_000, 10_000));
        answers(&program, 1).await;
        let program = restarted(&site, program, way).await;
        let refused = chat(&program).await;
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (429, &json!("insufficient_quota")));
        assert_eq!(refused.json()["error"]["limit"]["used"], 100_000, "{way:?}");
    }
}

#[tokio::test]
async fn no_request_and_no_call_has_the_name_of_another_ones() {
    let site = Site::new().await;
    let mut program = site.start().await;
    let mut ids = std::collections::HashSet::new();
    for way in [Way::Kill, Way::Term, Way::Kill] {
        for _ in 0..5 {
            let answer = chat(&program).await;
            assert!(ids.insert(answer.header("x-request-id").unwrap().to_owned()), "{ids:?}");
        }
        program = restarted(&site, program, way).await;
    }
    assert_eq!(site.number("SELECT count(*) FROM calls"), 15);
    assert_eq!(site.number("SELECT count(DISTINCT request_id) FROM calls"), 15);
    let named = |id: &String| site.number(&format!("SELECT count(*) FROM calls WHERE request_id = '{id}'"));
    assert!(ids.iter().all(|id| named(id) == 1), "what a client was told is what the ledger has");
}

#[tokio::test]
async fn a_call_that_a_kill_cuts_off_costs_its_bound_and_no_slot() {
    for durability in ["process", "disk"] {
        let toml = format!("[ledger]\ndurability = \"{durability}\"");
        let site = Site::with(&toml, json!({"concurrent_requests": 1})).await;
        let program = site.start().await;
        answers(&program, 3).await;
        site.upstream.script(Reply::stream(["one ", "two"]).stall_after(1));
        let mut stream = program.connect().await;
        assert_eq!(stream.open(&chat_request("ada", "hi", true)).await.status, 200);
        // At once: what has been answered is in the file.
        drop(program);

        let program = site.start().await;
        let bound = site.number("SELECT bound_tokens FROM calls WHERE ending = 'crashed'");
        assert_eq!(site.number("SELECT count(*) FROM calls WHERE ending = 'crashed'"), 1);
        assert_eq!(site.used(&program).await, 3 * BILLED + u64::try_from(bound).unwrap(), "{durability}");
        is_logged(&program, "ended with calls in flight").await;
        answers(&program, 1).await;
    }
}

#[tokio::test]
async fn without_durability_nothing_is_written_and_a_restart_forgets() {
    let site = Site::with("[ledger]\ndurability = \"none\"", json!({"requests_per_minute": 3})).await;
    let program = site.start().await;
    answers(&program, 3).await;
    assert_eq!((chat(&program).await.status, site.used(&program).await), (429, 3 * BILLED));
    drop(program);
    assert!(!site.ledger().exists());
    let program = site.start().await;
    assert_eq!(site.used(&program).await, 0);
    answers(&program, 3).await;
}
