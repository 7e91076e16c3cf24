//! What follows the failures of upstreams: who is asked instead, after what wait, at whose cost.
//!
//! Here is what these tests share: a gateway whose model `both` goes from a `first` provider to a `second`, each of
//! them an upstream of its own, and a client `ada` whose tokens are counted.

mod breaker;
mod chain;
mod isolation;
mod keys;
mod queue;
mod quota;
mod retirement;
mod table;
mod waits;

use gateway_actors::provider::KeyView;
use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::test_gateway::Builder;
use gateway_testkit::{FakeUpstream, Reply, TestGateway, chat_with};
use serde_json::json;

/// A breaker that no test opens by accident.
pub const STURDY: &str = "breaker = { consecutive = 1000, calls_min = 1000 }\n";

/// What a [`Pair`] is to be, beyond the usual.
#[derive(Clone, Copy, Default)]
pub struct Setting<'a> {
    /// More of gateway.toml.
    pub toml: &'a str,
    /// The protocol of the first provider; OpenAI's where nothing is said.
    pub kind: &'a str,
    /// More members of the first provider.
    pub first: &'a str,
    /// More members of the second.
    pub second: &'a str,
    /// The table of models.
    pub models: &'a str,
}

/// Two upstreams, and a gateway before them.
pub struct Pair {
    pub first: FakeUpstream,
    pub second: FakeUpstream,
    pub gateway: TestGateway,
}

impl Pair {
    pub async fn start(setting: Setting<'_>) -> Self {
        Self::build(setting, |builder| builder).await
    }

    /// With more clients, or whatever else the builder has.
    pub async fn build(setting: Setting<'_>, more: impl FnOnce(Builder) -> Builder) -> Self {
        let (first, second) = (FakeUpstream::start().await, FakeUpstream::start().await);
        let kind = if setting.kind.is_empty() { "openai" } else { setting.kind };
        let address = match kind {
            "gemini" => format!("{}/v1beta", first.origin()),
            _ => first.base_url(),
        };
        let toml = format!(
            "{}\n[models.both]\ntargets = ['first/gpt-one', 'second/gpt-two']\n\
             [providers.first]\nkind = '{kind}'\nbase_url = '{address}'\napi_key_env = 'TEST_KEY'\n{}\n\
             [providers.second]\nkind = 'openai'\nbase_url = '{}'\napi_key_env = 'TEST_KEY'\n{}\n",
            setting.toml,
            setting.first,
            second.base_url(),
            setting.second
        );
        let builder = TestGateway::with(&first).toml(&toml).models(setting.models).metered("ada");
        let gateway = more(builder).start().await;
        first.always(Reply::text("from the first").tokens(5, 3));
        second.always(Reply::text("from the second").tokens(7, 4));
        Self { first, second, gateway }
    }

    /// One question of ada's.
    pub async fn ask(&self, model: &str, stream: bool) -> Answer {
        self.gateway.ask(&question("ada", model, stream)).await
    }

    /// One question of ada's that must be answered, not streamed: by whom, and after how many attempts.
    #[track_caller]
    pub fn served(answer: &Answer) -> (String, u32) {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let header = |name| answer.header(name).unwrap_or_else(|| panic!("no {name}")).to_owned();
        (header("x-gateway-provider"), header("x-gateway-attempts").parse().unwrap())
    }

    /// How many requests each of them got.
    pub fn requests(&self) -> (usize, usize) {
        (self.first.requests(), self.second.requests())
    }

    /// The state of the one key of a provider.
    pub async fn key(&self, provider: &str) -> KeyView {
        let keys = self.gateway.front().gateway.keys().await.unwrap();
        keys.into_iter().find(|key| &*key.provider == provider).unwrap()
    }

    pub async fn ends(self) {
        self.gateway.ends_quiet().await;
        self.first.finish();
        self.second.finish();
    }
}

/// A question of a client.
pub fn question(client: &str, model: &str, stream: bool) -> Request {
    let messages = json!([{"role": "user", "content": "hi"}]);
    chat_with(client, json!({"model": model, "stream": stream, "messages": messages}))
}

/// Whose answer this is, and after how many attempts.
#[track_caller]
pub fn by(answer: &Answer, provider: &str, attempts: u32) {
    assert_eq!(Pair::served(answer), (provider.to_owned(), attempts), "{}", answer.text());
}
