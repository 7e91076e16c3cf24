//! The two pages on which a person reads the API: Swagger UI and ReDoc, each one self-contained HTML text.
//!
//! Owns     both pages, their content security policies and entity tags.
//! Called   by the routes `/docs` and `/redoc`; the pages themselves then load `/openapi.json`.
//! Bounded  by the size of the embedded scripts: about 2.6 MB in all, built when first asked for and then
//!          shared by all answers.
//! Fails    never: nothing is read from disk or network. A browser that enforces the policy refuses
//!          whatever a page would load from another host.

use std::sync::LazyLock;

use aide::redoc::Redoc;
use aide::swagger::Swagger;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderValue, StatusCode};
use sha2::{Digest, Sha256};
use warp::reply::Response;

use crate::front::Exchange;
use crate::openapi;
use crate::respond;
use crate::routes::Route;

#[cfg(test)]
mod tests;

const TITLE: &str = "DSP AI Gateway";
const DOCUMENT_PATH: &str = "/openapi.json";

/// The logo beside ReDoc's credit line, the one thing that either page would fetch from another host.
const REDOC_LOGO: &str = "https://cdn.redoc.ly/redoc/logo-mini.svg";

/// An address that holds no image and asks no server: ReDoc hides a logo that does not load.
const NO_IMAGE: &str = "data:,";

/// Makes the pages legible on a phone, fills the window, and keeps browsers from asking for `/favicon.ico`.
const HEAD: &str = r#"<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<style>body { margin: 0 }</style>"#;

/// A page as it is sent; the content type is `text/html; charset=utf-8`.
#[derive(Debug, Clone)]
pub struct Page {
    /// The whole text: markup, styles and scripts.
    pub html: Bytes,
    /// Value of `Content-Security-Policy`: names the page's own scripts by hash and allows no others.
    pub csp: String,
    /// Value of `ETag`, quotes included: changes exactly when the text does.
    pub etag: String,
}

/// Swagger UI, on which calls can be tried out.
pub fn swagger_page() -> &'static Page {
    static PAGE: LazyLock<Page> =
        LazyLock::new(|| page(Swagger::new(DOCUMENT_PATH).with_title(TITLE).html()));
    &PAGE
}

/// ReDoc, for reading.
pub fn redoc_page() -> &'static Page {
    static PAGE: LazyLock<Page> = LazyLock::new(|| {
        let html = Redoc::new(DOCUMENT_PATH).with_title(TITLE).html();
        page(html.replace(REDOC_LOGO, NO_IMAGE))
    });
    &PAGE
}

/// Answers one of the two pages, or the document that they load.
pub fn answer(exchange: &Exchange, route: Route) -> Response {
    let page = match route {
        Route::Docs => swagger_page(),
        Route::Redoc => redoc_page(),
        _ => {
            let mut response = respond::json(Bytes::from_static(openapi::document().as_bytes()));
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            return response;
        }
    };
    let is_known =
        exchange.headers.get(IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == page.etag.as_bytes());
    let mut response = if is_known { Response::default() } else { Response::new(page.html.clone().into()) };
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let own = [(CONTENT_SECURITY_POLICY, &page.csp), (ETAG, &page.etag)];
    headers
        .extend(own.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?))));
    response
}

fn page(html: String) -> Page {
    let html = html.replacen("<head>", HEAD, 1);
    let csp = policy(&html);
    let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(&html)));
    Page { html: html.into(), csp, etag }
}

/// The policy for a page with these inline scripts.
///
/// Styles cannot be named by hash: ReDoc makes its own while it runs. Its search index is built in a
/// worker, which it starts from a `blob:`; images inside the scripts and style sheets are `data:`.
fn policy(html: &str) -> String {
    let scripts: String = inline_scripts(html)
        .map(|script| format!(" 'sha256-{}'", STANDARD.encode(Sha256::digest(script))))
        .collect();
    format!(
        "default-src 'none'; script-src{scripts}; style-src 'unsafe-inline'; img-src data:; \
         connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The text of each inline script, which is what a browser hashes.
fn inline_scripts(html: &str) -> impl Iterator<Item = &str> {
    let mut rest = html;
    std::iter::from_fn(move || {
        let (_, from_script) = rest.split_once("<script>")?;
        let (script, after) = from_script.split_once("</script>")?;
        rest = after;
        Some(script)
    })
}
