//! Every surface over a provider that speaks its protocol: bytes pass, accounts are the upstream's.
//!
//! Here is also what these tests and those of [`crate::crossed`] share: a gateway with a provider of each kind before
//! one upstream, a question in any of the four protocols, and a reader of answers as strict as a client can be.

mod background;
mod batches;
mod gemini;
mod interactions;
mod kept;
mod lists;
mod messages;
mod passed;
mod plain;
mod quirks;
mod reserved;
mod responses;
pub mod told;

use gateway_testkit::deadline::patiently;
use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::test_gateway::Builder;
use gateway_testkit::{FakeUpstream, Reply, Seen, TestGateway};
use serde_json::{Value, json};

pub use told::Told;

/// The protocol that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Chat,
    Messages,
    Gemini,
    Responses,
}

impl Api {
    pub const ALL: [Self; 4] = [Self::Chat, Self::Messages, Self::Gemini, Self::Responses];
}

/// Models of a provider of each protocol; of `plain` without the Responses API.
pub const GPT: &str = "gpt-test";
pub const PLAIN: &str = "plain-test";
pub const CLAUDE: &str = "claude-test";
pub const GEMINI: &str = "gemini-3-test";
pub const MODELS: [&str; 4] = [GPT, PLAIN, CLAUDE, GEMINI];

/// The protocol that the provider of a model is asked in.
pub fn spoken(api: Api, model: &str) -> Api {
    match model {
        CLAUDE => Api::Messages,
        GEMINI => Api::Gemini,
        GPT if api == Api::Responses => Api::Responses,
        _ => Api::Chat,
    }
}

/// A gateway with a provider of each kind, all of them one upstream, and the clients `ada` and `bob`.
pub struct Site {
    pub upstream: FakeUpstream,
    pub gateway: TestGateway,
}

impl Site {
    pub async fn start() -> Self {
        Self::with("", "").await
    }

    /// With clients whose limits refuse nothing, so that they may make batches.
    pub async fn in_shadow() -> Self {
        let upstream = FakeUpstream::start().await;
        let shadow = json!({"rate_limit": {"mode": "shadow", "tokens_per_day": 1_000_000_000}});
        let builder = Self::builder(&upstream, "", "").client("ada", shadow.clone()).client("bob", shadow);
        let gateway = builder.start().await;
        Self { upstream, gateway }
    }

    /// With `translate = "lenient"` everywhere.
    pub async fn lenient() -> Self {
        Self::with("", "translate = \"lenient\"\n").await
    }

    /// With more of gateway.toml, and these lines in every provider.
    pub async fn with(toml: &str, members: &str) -> Self {
        let upstream = FakeUpstream::start().await;
        let gateway = Self::builder(&upstream, toml, members).start().await;
        Self { upstream, gateway }
    }

    pub fn builder(upstream: &FakeUpstream, toml: &str, members: &str) -> Builder {
        let provider = |name: &str, kind: &str, url: &str, models: &str, more: &str| {
            format!(
                "[providers.{name}]\nkind = \"{kind}\"\nbase_url = \"{url}\"\napi_key_env = \"TEST_KEY\"\n\
                 models = [\"{models}\"]\n{more}{members}\n"
            )
        };
        let (openai, origin) = (upstream.base_url(), upstream.origin());
        let providers = [
            provider("plain", "openai", &openai, "plain-*", ""),
            provider("anthropic", "anthropic", &openai, "claude-*", "default_model = \"claude-test\"\n"),
            provider(
                "gemini",
                "gemini",
                &format!("{origin}/v1beta"),
                "gemini-*",
                "default_model = \"gemini-3-test\"\n",
            ),
        ];
        TestGateway::with(upstream)
            .once()
            .toml(&format!("{toml}\n{}", providers.concat()))
            .provider(&format!("responses = true\n{members}"))
            .metered("ada")
            .metered("bob")
    }

    /// One question, and the request that the upstream got of it.
    pub async fn ask(&self, reply: Reply, question: &Request) -> (Answer, Seen) {
        self.upstream.script(reply);
        let answer = self.gateway.ask(question).await;
        let asked = self.upstream.requests();
        assert!(asked > 0, "nothing reached the upstream: {}", answer.text());
        (answer, self.upstream.request(asked - 1))
    }

    /// What the ledger has of a provider, once so many of its calls are in it.
    pub async fn booked(&self, provider: &str, calls: u64) -> Value {
        let rows = async || {
            let report = self.gateway.admin("/admin/usage?by=provider").await;
            let rows = report["usage"].as_array().unwrap().clone();
            rows.into_iter().find(|row| row["provider"] == provider).unwrap_or_default()
        };
        patiently("the calls are in the ledger", async {
            loop {
                let row = rows().await;
                if row["requests"] == calls {
                    return row;
                }
            }
        })
        .await
    }

    /// Ends both; accounts must be what the upstream has billed.
    pub async fn ends_in_agreement(self) {
        let used = self.gateway.tokens_used("ada").await + self.gateway.tokens_used("bob").await;
        assert_eq!(used, self.upstream.billed_total().total(), "{:?}", self.upstream.billed());
        self.gateway.ends_quiet().await;
        self.upstream.finish();
    }

    /// Ends both.
    pub async fn ends(self) {
        self.gateway.ends_quiet().await;
        self.upstream.finish();
    }
}

/// A request of a client with a body as it is.
pub fn post(client: &str, path: &str, body: impl ToString) -> Request {
    Request::post(path)
        .header("authorization", &format!("Bearer key-{client}"))
        .header("content-type", "application/json")
        .body(body.to_string())
}

/// A GET of a client.
pub fn get(client: &str, path: &str) -> Request {
    Request::get(path).header("authorization", &format!("Bearer key-{client}"))
}

/// Where a question is asked.
pub fn path(api: Api, model: &str, stream: bool) -> String {
    match api {
        Api::Chat => "/v1/chat/completions".to_owned(),
        Api::Messages => "/v1/messages".to_owned(),
        Api::Responses => "/v1/responses".to_owned(),
        Api::Gemini if stream => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
        Api::Gemini => format!("/v1beta/models/{model}:generateContent"),
    }
}

/// A question of ada's: "hi", with these members in place of what a plain one has.
pub fn question(api: Api, model: &str, stream: bool, members: Value) -> Request {
    let mut body = match api {
        Api::Chat => json!({"model": model, "messages": [{"role": "user", "content": "hi"}]}),
        Api::Messages => {
            json!({"model": model, "max_tokens": 4000, "messages": [{"role": "user", "content": "hi"}]})
        }
        Api::Gemini => json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
        Api::Responses => json!({"model": model, "input": "hi"}),
    };
    let whole = body.as_object_mut().unwrap();
    whole.extend(members.as_object().unwrap().clone());
    if stream && api != Api::Gemini {
        whole.insert("stream".to_owned(), true.into());
    }
    if stream && api == Api::Chat {
        whole.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    post("ada", &path(api, model, stream), body)
}

/// Members that offer these functions, each with one text argument that may be left out.
pub fn tools(api: Api, names: &[&str]) -> Value {
    let schema = json!({"type": "object", "properties": {"text": {"type": "string"}}});
    let each = |tool: fn(&str, Value) -> Value| -> Vec<Value> {
        names.iter().map(|name| tool(name, schema.clone())).collect()
    };
    match api {
        Api::Chat => {
            let function = |name: &str, schema| json!({"type": "function", "function": {"name": name, "description": "d", "parameters": schema}});
            json!({"tools": each(function)})
        }
        Api::Messages => {
            let tool = |name: &str, schema| json!({"name": name, "description": "d", "input_schema": schema});
            json!({"tools": each(tool)})
        }
        Api::Gemini => {
            let function =
                |name: &str, schema| json!({"name": name, "description": "d", "parameters": schema});
            json!({"tools": [{"functionDeclarations": each(function)}]})
        }
        Api::Responses => {
            let tool = |name: &str, schema| json!({"type": "function", "name": name, "description": "d", "parameters": schema, "strict": false});
            json!({"tools": each(tool)})
        }
    }
}

/// One object of several; members of later ones count.
pub fn merged(objects: &[Value]) -> Value {
    let members = objects.iter().flat_map(|object| object.as_object().unwrap().clone());
    Value::Object(members.collect())
}
