//! The operators' page at `/console` with its style sheet and scripts: files that are compiled in, and nothing else.
//!
//! Owns     the files and the policy under which a browser runs them.
//! Called   by the routes below `/console`; the page itself then calls `/admin`, with the token that it asks for.
//! Bounded  by the size of the files, about 65 KB.
//! Fails    never. A browser that enforces the policy runs no script and loads nothing but these files, sends nothing
//!          to another host, and shows the page in no other page.

use bytes::Bytes;
use http::HeaderValue;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use warp::reply::Response;

use crate::fault::Fault;

/// Pictures may be `data:`, for the icon that keeps browsers from asking for `/favicon.ico`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct File {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

static FILES: [File; 6] = [
    File {
        path: "/console",
        content_type: "text/html; charset=utf-8",
        text: include_str!("../console/index.html"),
    },
    File {
        path: "/console/console.css",
        content_type: "text/css; charset=utf-8",
        text: include_str!("../console/console.css"),
    },
    File { path: "/console/console.js", content_type: SCRIPT, text: include_str!("../console/console.js") },
    File { path: "/console/feed.js", content_type: SCRIPT, text: include_str!("../console/feed.js") },
    File { path: "/console/panels.js", content_type: SCRIPT, text: include_str!("../console/panels.js") },
    File { path: "/console/session.js", content_type: SCRIPT, text: include_str!("../console/session.js") },
];

/// Answers with the file of this path.
pub fn answer(path: &str) -> Result<Response, Fault> {
    // Each path of the route table is one of these.
    let file = FILES.iter().find(|file| file.path == path).ok_or(Fault::Bug)?;
    let mut response = Response::new(Bytes::from_static(file.text.as_bytes()).into());
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, file.content_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}
