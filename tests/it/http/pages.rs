//! What everybody may see: the index, the probes, the document and its two pages.

use super::*;

#[tokio::test]
async fn the_index_says_what_this_is_and_where_to_read_on() {
    let (_upstream, gateway) = gateway().await;
    let answer = gateway.ask(&Request::get("/")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let index = answer.json();
    assert_eq!(index["name"], "dsp-ai-gateway");
    assert_eq!(index["version"], env!("CARGO_PKG_VERSION"));
    for member in ["docs", "openapi"] {
        let path = index[member].as_str().expect("a path");
        assert_eq!(gateway.ask(&Request::get(path)).await.status, 200, "{path}");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_probes_say_ok_and_are_kept_by_no_cache() {
    let (_upstream, gateway) = gateway().await;
    for path in ["/health", "/livez", "/readyz"] {
        let answer = gateway.ask(&Request::get(path)).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.text(), r#"{"status":"ok"}"#, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn public_routes_ask_for_no_credentials_and_mind_no_wrong_ones() {
    let (_upstream, gateway) = gateway().await;
    for line in ROUTES.iter().filter(|line| line.access == Access::Public) {
        let answer = gateway.ask(&Request::get(line.path).header("authorization", "Bearer wrong")).await;
        assert_eq!(answer.status, 200, "{}", line.path);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_openapi_document_is_served_as_it_is_printed() {
    let (_upstream, gateway) = gateway().await;
    let answer = gateway.ask(&Request::get("/openapi.json")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.text(), openapi::document());
    let document = answer.json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    assert!(document["paths"].as_object().is_some_and(|paths| !paths.is_empty()));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_two_pages_are_whole_and_load_from_this_gateway_alone() {
    let (_upstream, gateway) = gateway().await;
    for path in ["/docs", "/redoc"] {
        let answer = gateway.ask(&Request::get(path)).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
        let html = answer.text();
        assert!(html.contains("/openapi.json"), "{path}");
        assert!(html.trim_end().ends_with("</html>"), "{path}");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_page_that_a_browser_has_already_is_not_sent_again() {
    let (_upstream, gateway) = gateway().await;
    for path in ["/docs", "/redoc"] {
        let mut connection = gateway.connect().await;
        let first = connection.ask(&Request::get(path)).await;
        let tag = first.header("etag").expect("a tag").to_owned();
        let again = connection.ask(&Request::get(path).header("if-none-match", &tag)).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(again.header("etag"), Some(tag.as_str()));
        let other = connection.ask(&Request::get(path).header("if-none-match", "\"older\"")).await;
        assert_eq!((other.status, other.body.len()), (200, first.body.len()), "{path}");
    }
    gateway.ends_quiet().await;
}

/// Swagger UI makes a form of these, so that a call can be tried out.
#[tokio::test]
async fn the_document_names_every_header_that_carries_credentials() {
    let (_upstream, gateway) = gateway().await;
    let document = gateway.ask(&Request::get("/openapi.json")).await.json();
    let schemes = document["components"]["securitySchemes"].as_object().expect("schemes");
    let named: BTreeSet<_> = schemes.values().filter_map(|scheme| scheme["name"].as_str()).collect();
    let headers = [
        "client_id",
        "client_secret",
        "client-id",
        "client-secret",
        "x-client-id",
        "x-client-secret",
        "x-api-key",
        "x-goog-api-key",
    ];
    for header in headers {
        assert!(named.contains(header), "{header} is not among {named:?}");
    }
    let kinds: BTreeSet<_> = schemes.values().filter_map(|scheme| scheme["scheme"].as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["basic", "bearer"]));
    gateway.ends_quiet().await;
}
