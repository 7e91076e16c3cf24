//! Every route: method, path, handler; and nothing else.

use http::Method;

/// What answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The seed's text generation.
    Generate,
    /// The seed's reload.
    ClientsReload,
    /// OpenAI's chat completions.
    ChatCompletions,
    /// Anthropic's messages.
    Messages,
    /// How many tokens a question to Anthropic's API has.
    CountTokens,
    /// OpenAI's responses.
    Responses,
    /// A response that its upstream keeps, or what is done with one; the path's rest is its id, and more.
    Response,
    /// Gemini's questions, or one of its models; the path's rest is the model and the method.
    GeminiModel,
    /// Gemini's list of models.
    GeminiModels,
    /// Gemini's interactions.
    Interactions,
    /// An interaction that its upstream keeps; the path's rest is its id, and more.
    Interaction,
    /// OpenAI's embeddings.
    Embeddings,
    /// OpenAI's older completions.
    Completions,
    /// Images, audio and moderations, which pass as they are.
    Passed,
    /// Files and batches, which pass as they are to whoever has them; the path's rest is an id, and more.
    Kept,
    /// OpenAI's list of models.
    Models,
    /// One model; the path's rest is its name, which may hold `/`.
    Model,
    /// Swagger UI.
    Docs,
    /// ReDoc.
    Redoc,
    /// The OpenAPI document.
    OpenApi,
    /// A file of the operators' page.
    Console,
    /// What this is.
    Index,
    /// Health, for people and simple checks.
    Health,
    /// Whether the process lives.
    Live,
    /// Whether it takes requests.
    Ready,
    /// The supervision tree.
    AdminTree,
    /// A reload, with its report.
    AdminReload,
    /// All clients.
    AdminClients,
    /// One client; the path's rest is its id.
    AdminClient,
    /// Makes a client.
    AdminClientNew,
    /// Sets members of a client; the path's rest is its id.
    AdminClientPatch,
    /// Makes new credentials of a client; the path's rest is its id.
    AdminClientRotate,
    /// Takes a client's access away; the path's rest is its id.
    AdminClientDisable,
    /// Gives a client its access back; the path's rest is its id.
    AdminClientEnable,
    /// All providers and their keys.
    AdminProviders,
    /// What was used, out of the ledger.
    AdminUsage,
    /// How the gateway is, in detail.
    AdminHealth,
    /// The last changes.
    AdminAudit,
    /// The last requests.
    AdminRequests,
    /// One of the last requests, decision by decision; the path's rest is its id.
    AdminRequest,
    /// Requests as they end, and the state each second.
    AdminLive,
    /// What is counted, for Prometheus.
    Metrics,
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// A client that is allowed this endpoint.
    Client(&'static str),
    /// Whoever has the admin token.
    Admin,
    /// Whoever is on this machine, and whoever has the admin token.
    AdminOrLocal,
}

/// Ids below this path hold no slash.
const ADMIN: &str = "/admin/";

/// One line of the table. A path that ends in `/*` takes a rest; in the middle of a path, and below `/admin`, `*` is
/// one segment.
#[derive(Debug)]
pub struct Line {
    /// The method; HEAD is answered wherever this is GET.
    pub method: Method,
    /// The path.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// What answers.
    pub route: Route,
}

const fn line(method: Method, path: &'static str, access: Access, route: Route) -> Line {
    Line { method, path, access, route }
}

use Access::{Admin, AdminOrLocal, Client, Public};

/// The table, the most used first.
pub static ROUTES: [Line; 86] = [
    line(Method::POST, "/v1/chat/completions", Client("chat/completions"), Route::ChatCompletions),
    line(Method::POST, "/openai/v1/chat/completions", Client("chat/completions"), Route::ChatCompletions),
    line(Method::POST, "/api/v1/generate", Client("generate"), Route::Generate),
    line(Method::GET, "/api/v1/clients/reload", Client("clients/reload"), Route::ClientsReload),
    line(Method::POST, "/v1/messages", Client("messages"), Route::Messages),
    line(Method::POST, "/v1/responses", Client("responses"), Route::Responses),
    line(Method::POST, "/openai/v1/responses", Client("responses"), Route::Responses),
    line(Method::POST, "/v1beta/models/*", Client("messages"), Route::GeminiModel),
    line(Method::POST, "/v1/models/*", Client("messages"), Route::GeminiModel),
    line(Method::POST, "/v1/embeddings", Client("embeddings"), Route::Embeddings),
    line(Method::POST, "/openai/v1/embeddings", Client("embeddings"), Route::Embeddings),
    line(Method::POST, "/v1/completions", Client("completions"), Route::Completions),
    line(Method::POST, "/openai/v1/completions", Client("completions"), Route::Completions),
    line(Method::POST, "/v1/messages/count_tokens", Client("messages"), Route::CountTokens),
    line(Method::GET, "/v1/models", Client("models"), Route::Models),
    line(Method::GET, "/v1/models/*", Client("models"), Route::Model),
    line(Method::GET, "/openai/v1/models", Client("models"), Route::Models),
    line(Method::GET, "/openai/v1/models/*", Client("models"), Route::Model),
    line(Method::GET, "/v1beta/models", Client("models"), Route::GeminiModels),
    line(Method::GET, "/v1beta/models/*", Client("models"), Route::GeminiModel),
    line(Method::GET, "/v1/responses/*", Client("responses"), Route::Response),
    line(Method::DELETE, "/v1/responses/*", Client("responses"), Route::Response),
    line(Method::POST, "/v1/responses/*", Client("responses"), Route::Response),
    line(Method::GET, "/openai/v1/responses/*", Client("responses"), Route::Response),
    line(Method::DELETE, "/openai/v1/responses/*", Client("responses"), Route::Response),
    line(Method::POST, "/openai/v1/responses/*", Client("responses"), Route::Response),
    line(Method::POST, "/v1beta/interactions", Client("interactions"), Route::Interactions),
    line(Method::GET, "/v1beta/interactions/*", Client("interactions"), Route::Interaction),
    line(Method::DELETE, "/v1beta/interactions/*", Client("interactions"), Route::Interaction),
    line(Method::POST, "/v1beta/interactions/*", Client("interactions"), Route::Interaction),
    line(Method::POST, "/v1/images/generations", Client("images/generations"), Route::Passed),
    line(Method::POST, "/v1/images/edits", Client("images/edits"), Route::Passed),
    line(Method::POST, "/v1/images/variations", Client("images/variations"), Route::Passed),
    line(Method::POST, "/v1/audio/speech", Client("audio/speech"), Route::Passed),
    line(Method::POST, "/v1/audio/transcriptions", Client("audio/transcriptions"), Route::Passed),
    line(Method::POST, "/v1/audio/translations", Client("audio/translations"), Route::Passed),
    line(Method::POST, "/openai/v1/audio/speech", Client("audio/speech"), Route::Passed),
    line(Method::POST, "/openai/v1/audio/transcriptions", Client("audio/transcriptions"), Route::Passed),
    line(Method::POST, "/openai/v1/audio/translations", Client("audio/translations"), Route::Passed),
    line(Method::POST, "/v1/moderations", Client("moderations"), Route::Passed),
    line(Method::GET, "/v1/files", Client("files"), Route::Kept),
    line(Method::POST, "/v1/files", Client("files"), Route::Kept),
    line(Method::GET, "/v1/files/*", Client("files"), Route::Kept),
    line(Method::DELETE, "/v1/files/*", Client("files"), Route::Kept),
    line(Method::GET, "/v1/batches", Client("batches"), Route::Kept),
    line(Method::POST, "/v1/batches", Client("batches"), Route::Kept),
    line(Method::GET, "/v1/batches/*", Client("batches"), Route::Kept),
    line(Method::POST, "/v1/batches/*", Client("batches"), Route::Kept),
    line(Method::GET, "/openai/v1/files", Client("files"), Route::Kept),
    line(Method::POST, "/openai/v1/files", Client("files"), Route::Kept),
    line(Method::GET, "/openai/v1/files/*", Client("files"), Route::Kept),
    line(Method::DELETE, "/openai/v1/files/*", Client("files"), Route::Kept),
    line(Method::GET, "/openai/v1/batches", Client("batches"), Route::Kept),
    line(Method::POST, "/openai/v1/batches", Client("batches"), Route::Kept),
    line(Method::GET, "/openai/v1/batches/*", Client("batches"), Route::Kept),
    line(Method::POST, "/openai/v1/batches/*", Client("batches"), Route::Kept),
    line(Method::GET, "/health", Public, Route::Health),
    line(Method::GET, "/livez", Public, Route::Live),
    line(Method::GET, "/readyz", Public, Route::Ready),
    line(Method::GET, "/", Public, Route::Index),
    line(Method::GET, "/docs", Public, Route::Docs),
    line(Method::GET, "/redoc", Public, Route::Redoc),
    line(Method::GET, "/openapi.json", Public, Route::OpenApi),
    line(Method::GET, "/console", Public, Route::Console),
    line(Method::GET, "/console/console.css", Public, Route::Console),
    line(Method::GET, "/console/console.js", Public, Route::Console),
    line(Method::GET, "/console/feed.js", Public, Route::Console),
    line(Method::GET, "/console/panels.js", Public, Route::Console),
    line(Method::GET, "/console/session.js", Public, Route::Console),
    line(Method::GET, "/admin/tree", Admin, Route::AdminTree),
    line(Method::POST, "/admin/reload", Admin, Route::AdminReload),
    line(Method::GET, "/admin/clients", Admin, Route::AdminClients),
    line(Method::POST, "/admin/clients", Admin, Route::AdminClientNew),
    line(Method::GET, "/admin/clients/*", Admin, Route::AdminClient),
    line(Method::PATCH, "/admin/clients/*", Admin, Route::AdminClientPatch),
    line(Method::POST, "/admin/clients/*/rotate", Admin, Route::AdminClientRotate),
    line(Method::POST, "/admin/clients/*/disable", Admin, Route::AdminClientDisable),
    line(Method::POST, "/admin/clients/*/enable", Admin, Route::AdminClientEnable),
    line(Method::GET, "/admin/providers", Admin, Route::AdminProviders),
    line(Method::GET, "/admin/usage", Admin, Route::AdminUsage),
    line(Method::GET, "/admin/health", Admin, Route::AdminHealth),
    line(Method::GET, "/admin/audit", Admin, Route::AdminAudit),
    line(Method::GET, "/admin/requests", Admin, Route::AdminRequests),
    line(Method::GET, "/admin/requests/*", Admin, Route::AdminRequest),
    line(Method::GET, "/admin/live", Admin, Route::AdminLive),
    line(Method::GET, "/metrics", AdminOrLocal, Route::Metrics),
];

/// The endpoints that a client may be allowed, in the order of the table.
pub fn endpoints() -> Vec<&'static str> {
    let mut names = Vec::new();
    for line in &ROUTES {
        if let Client(name) = line.access
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

/// A route and the rest of its path.
#[derive(Debug, Clone, Copy)]
pub struct Matched<'p> {
    /// The line.
    pub line: &'static Line,
    /// What stood in place of `*`, still encoded; else empty.
    pub rest: &'p str,
}

/// Why no route was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoMatch {
    /// No line has this path.
    Path,
    /// Lines have it, with these methods.
    Method(String),
}

/// The route of a request. Paths are compared as they are: not decoded, no dot segments, no double slashes.
pub fn find<'p>(method: &Method, path: &'p str) -> Result<Matched<'p>, NoMatch> {
    let mut allowed: Vec<&str> = Vec::new();
    for line in &ROUTES {
        let Some(rest) = rest_of(line.path, path) else { continue };
        // A model without a method behind its name is only read.
        if line.route == Route::GeminiModel && line.method == Method::POST && !names_method(rest) {
            continue;
        }
        if line.method == *method || (*method == Method::HEAD && line.method == Method::GET) {
            return Ok(Matched { line, rest });
        }
        allowed.push(line.method.as_str());
        if line.method == Method::GET {
            allowed.push("HEAD");
        }
    }
    if allowed.is_empty() { Err(NoMatch::Path) } else { Err(NoMatch::Method(allowed.join(", "))) }
}

/// Whether something stands behind a model's name, with the colon as it is or encoded.
fn names_method(rest: &str) -> bool {
    rest.contains(':') || rest.to_ascii_lowercase().contains("%3a")
}

fn rest_of<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    let Some((before, behind)) = pattern.split_once('*') else { return (pattern == path).then_some("") };
    let rest = path.strip_prefix(before)?.strip_suffix(behind)?;
    let may_hold_slashes = behind.is_empty() && !before.starts_with(ADMIN);
    (!rest.is_empty() && (may_hold_slashes || !rest.contains('/'))).then_some(rest)
}
