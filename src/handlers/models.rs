//! `GET /v1/models` and one of them: what the client may use, in OpenAI's form.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use gateway_actors::glob::is_model_name;
use gateway_actors::{Client, Target};
use serde_json::{Value, json};
use warp::reply::Response;

use crate::fault::Fault;
use crate::front::{Exchange, Front};
use crate::resolve::{self, Asker, GROQ};
use crate::respond;

/// Lists every model that the client may use: aliases, default models, and what the upstreams offer.
pub async fn list(front: &Front, exchange: &Exchange, client: &Client) -> Result<Response, Fault> {
    let models = usable(front, exchange, client).await;
    if is_anthropics(exchange) {
        let data: Vec<Value> = models.keys().map(|id| anthropics(id)).collect();
        let (first, last) = (models.keys().next(), models.keys().next_back());
        let list = json!({"data": data, "has_more": false, "first_id": first, "last_id": last});
        return Ok(respond::json(list.to_string()));
    }
    if is_geminis(exchange) {
        let models: Vec<Value> = models.keys().map(|id| geminis(id)).collect();
        return Ok(respond::json(json!({"models": models}).to_string()));
    }
    let data: Vec<Value> = models.iter().map(|(id, owner)| shown(id, owner)).collect();
    Ok(respond::json(json!({"object": "list", "data": data}).to_string()))
}

/// `GET /v1beta/models`
pub async fn gemini_list(front: &Front, exchange: &Exchange, client: &Client) -> Result<Response, Fault> {
    let models = usable(front, exchange, client).await;
    let models: Vec<Value> = models.keys().map(|id| geminis(id)).collect();
    Ok(respond::json(json!({"models": models}).to_string()))
}

/// `GET /v1beta/models/ID`
pub async fn gemini_one(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    id: &str,
) -> Result<Response, Fault> {
    let (id, _) = found(front, exchange, client, id).await?;
    Ok(respond::json(geminis(&id).to_string()))
}

/// Anthropic's SDKs ask for the same path, and name their version.
fn is_anthropics(exchange: &Exchange) -> bool {
    exchange.headers.contains_key("anthropic-version")
}

/// Google's SDKs ask for the same path, too, with a key in their own header.
fn is_geminis(exchange: &Exchange) -> bool {
    exchange.headers.contains_key("x-goog-api-key")
}

fn anthropics(id: &str) -> Value {
    json!({"type": "model", "id": id, "display_name": id, "created_at": "1970-01-01T00:00:00Z"})
}

fn geminis(id: &str) -> Value {
    let methods = ["generateContent", "streamGenerateContent", "countTokens"];
    json!({"name": format!("models/{id}"), "displayName": id, "supportedGenerationMethods": methods})
}

/// One model, if the client may use it. The id may hold `/`, written as it is or as `%2F`.
pub async fn one(front: &Front, exchange: &Exchange, client: &Client, id: &str) -> Result<Response, Fault> {
    let (id, owner) = found(front, exchange, client, id).await?;
    let model = match (is_anthropics(exchange), is_geminis(exchange)) {
        (true, _) => anthropics(&id),
        (false, true) => geminis(&id),
        (false, false) => shown(&id, &owner),
    };
    Ok(respond::json(model.to_string()))
}

/// A model's name and its provider, if the client may use it.
async fn found(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    id: &str,
) -> Result<(String, String), Fault> {
    let id = percent_encoding::percent_decode_str(id).decode_utf8().map_err(|_| Fault::BadModelName)?;
    if !is_model_name(&id) {
        return Err(Fault::BadModelName);
    }
    let found = usable(front, exchange, client).await.remove_entry(&*id);
    found.ok_or_else(|| Fault::UnknownModel { model: id.into_owned() })
}

fn shown(id: &str, owner: &str) -> Value {
    // Upstreams' dates say when they made the model; for a list over many of them none is true.
    json!({"id": id, "object": "model", "created": 0, "owned_by": owner})
}

/// Names that the client may send as `model`, with the provider that each leads to.
async fn usable(front: &Front, exchange: &Exchange, client: &Client) -> BTreeMap<String, String> {
    let live = &exchange.live;
    let settings = &live.settings;
    let mine = || {
        let all = settings.providers.values();
        all.filter(|provider| client.may_use_provider(&provider.name) && provider.can_be_called())
    };
    let asked = join_all(mine().map(|provider| front.model_list.of(live, provider))).await;
    let home = exchange.path.starts_with("/openai/").then_some(GROQ);
    let asker = Asker { client, home, trail: None };
    let mut usable = BTreeMap::new();
    for (name, entry) in settings.models.iter().filter(|(_, entry)| !entry.targets.is_empty()) {
        if resolve::model(settings, asker, name).is_ok()
            && let Some(target) = entry.targets.first()
        {
            usable.insert(name.to_string(), target.provider.to_string());
        }
    }
    for (provider, offered) in mine().zip(&asked) {
        let defaults = provider.default_model.as_deref();
        for model in offered.iter().map(String::as_str).chain(defaults) {
            let target = Target { provider: provider.name.clone(), model: model.into() };
            if !is_model_name(model) || !resolve::may_use_model(client, &target) {
                continue;
            }
            // The bare name where it leads here, else with the provider before it.
            let is_bare = resolve::model(settings, asker, model)
                .is_ok_and(|resolved| resolved.first().target == target);
            let name = if is_bare { model.to_owned() } else { format!("{}/{model}", provider.name) };
            usable.entry(name).or_insert_with(|| provider.name.to_string());
        }
    }
    usable
}
