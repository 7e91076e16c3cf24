//! The operators' page as it is served. What it does in a browser is in tests/sdk/console.

use dsp_ai_gateway::routes::{self, Access, Line, ROUTES, Route};
use gateway_testkit::TestGateway;
use gateway_testkit::raw_client::Request;
use http::Method;
use serde_json::json;

/// Nobody listens here.
const NOWHERE: &str = "http://127.0.0.1:9/v1";

/// The files of the page's scripts.
const SCRIPTS: [&str; 4] = [
    include_str!("../../src/console/console.js"),
    include_str!("../../src/console/feed.js"),
    include_str!("../../src/console/panels.js"),
    include_str!("../../src/console/session.js"),
];

fn files() -> impl Iterator<Item = &'static Line> {
    ROUTES.iter().filter(|line| line.route == Route::Console)
}

#[tokio::test]
async fn every_file_is_served_to_everybody_under_a_policy_that_allows_these_files_alone() {
    let gateway = TestGateway::at(NOWHERE).start().await;
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                  img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    assert_eq!(files().count(), 6);
    for line in files() {
        let mut connection = gateway.connect().await;
        let get = connection.ask(&Request::get(line.path)).await;
        let head = connection.ask(&Request::new("HEAD", line.path)).await;
        assert_eq!((get.status, head.status), (200, 200), "{}", line.path);
        assert!(!get.body.is_empty() && head.body.is_empty(), "{}", line.path);
        let kind = match line.path.rsplit_once('.') {
            Some((_, "css")) => "text/css",
            Some((_, "js")) => "text/javascript",
            _ => "text/html",
        };
        for answer in [&get, &head] {
            for (name, value) in [
                ("content-type", format!("{kind}; charset=utf-8").as_str()),
                ("content-security-policy", policy),
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "no-referrer"),
                ("cache-control", "no-store"),
            ] {
                assert_eq!(answer.header(name), Some(value), "{} {name}", line.path);
            }
        }
        assert!(!get.text().contains(&gateway.admin_token()), "{}", line.path);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn no_other_site_may_read_it() {
    let gateway = TestGateway::at(NOWHERE)
        .toml("[server]\ncors_origins = [\"*\"]\n")
        .client("ada", json!({}))
        .start()
        .await;
    for line in files() {
        let request = Request::get(line.path).header("origin", "https://app.example.com");
        let answer = gateway.ask(&request).await;
        assert_eq!(answer.status, 200);
        let cors = answer.headers.iter().filter(|(name, _)| name.starts_with("access-control-"));
        assert_eq!(cors.count(), 0, "{}", line.path);
    }
    gateway.ends_quiet().await;
}

#[test]
fn the_page_loads_its_own_files_and_holds_no_script_or_style() {
    let html = include_str!("../../src/console/index.html");
    for line in files().filter(|line| line.path != "/console") {
        let relative = line.path.trim_start_matches('/');
        let name = relative.trim_start_matches("console/");
        let is_imported = SCRIPTS[0].contains(&format!("from \"./{name}\""));
        assert!(html.contains(&format!("\"{relative}\"")) || is_imported, "{relative} is loaded");
    }
    assert!(!html.contains("<style") && !html.contains("style="));
    assert_eq!(html.matches("<script").count(), html.matches("<script type=\"module\" src=").count());
    assert!(!html.contains("://"), "nothing from elsewhere");
}

#[test]
fn the_scripts_name_only_routes_that_there_are() {
    let text = SCRIPTS.concat();
    let mut named = 0;
    for (at, _) in text.match_indices("admin/") {
        // A path begins its literal; in words it is another thing.
        let quote = text[..at].chars().next_back().unwrap();
        if !['"', '`'].contains(&quote) {
            continue;
        }
        let path = text[at..].split([quote, '?']).next().unwrap();
        let path = format!("/{}", with_segments(path));
        let is_there = [Method::GET, Method::POST]
            .iter()
            .any(|method| routes::find(method, &path).is_ok_and(|found| found.line.access == Access::Admin));
        assert!(is_there, "{path}");
        named += 1;
    }
    assert!(named >= 12, "only {named} paths were found");
}

/// Puts a word in place of each `${…}`.
fn with_segments(template: &str) -> String {
    let mut parts = template.split("${");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |path, part| path + "any" + part.rsplit_once('}').unwrap().1)
}

#[test]
fn nothing_that_the_gateway_says_becomes_markup_and_nothing_is_kept() {
    let text = SCRIPTS.concat();
    for forbidden in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "localStorage",
        "sessionStorage",
        "indexedDB",
        "cookie",
        "eval(",
        "location",
    ] {
        assert!(!text.contains(forbidden), "{forbidden}");
    }
}
