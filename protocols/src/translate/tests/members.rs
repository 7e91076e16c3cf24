//! Every documented member of each protocol's request, over every other protocol: carried over, refused by its name,
//! or left out and named. Never silently.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::pairs;
use crate::conversation::Target;
use crate::openai::CapMember;
use crate::translate::{Protocol, TranslateFault, request};

const TARGET: Target<'static> = Target {
    model: "upstream",
    cap: None,
    max_output: 64_000,
    cap_member: CapMember::MaxCompletionTokens,
    takes_temperature: true,
    asks_for_usage: true,
    missing_signature: None,
};

/// A member, the beginning of its name, and what of it stands in a request that carries it over, in any protocol.
type Row = (Value, &'static str, &'static [&'static str]);

/// Nothing carries it over.
const NOWHERE: &[&str] = &[];

fn user(part: Value) -> Value {
    json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, part]}]})
}

fn chat() -> Vec<Row> {
    let function = |more: Value| {
        let mut function = json!({"name": "f", "parameters": {"type": "object"}});
        function.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"tools": [{"type": "function", "function": function}]})
    };
    let tools = function(json!({}))["tools"].clone();
    vec![
        (json!({"audio": {"voice": "alloy", "format": "wav"}}), "audio", NOWHERE),
        (json!({"frequency_penalty": 0.125}), "frequency_penalty", &["0.125"]),
        (json!({"function_call": "auto"}), "function_call", NOWHERE),
        (json!({"functions": [{"name": "f"}]}), "functions", NOWHERE),
        (json!({"logit_bias": {"5": 1}}), "logit_bias", NOWHERE),
        (json!({"logprobs": true}), "logprobs", &["responseLogprobs"]),
        (json!({"logprobs": true, "top_logprobs": 3}), "", &["top_logprobs"]),
        (json!({"max_completion_tokens": 77}), "max_completion_tokens", &["77"]),
        (json!({"max_tokens": 77}), "max_tokens", &["77"]),
        (json!({"metadata": {"a": "b"}}), "metadata", NOWHERE),
        (json!({"modalities": ["text", "audio"]}), "modalities", NOWHERE),
        (json!({"moderation": {"model": "omni"}}), "moderation", NOWHERE),
        (json!({"n": 3}), "n", &["candidateCount"]),
        (json!({"tools": tools, "parallel_tool_calls": false}), "parallel_tool_calls", &["parallel_tool"]),
        (json!({"prediction": {"type": "content", "content": "x"}}), "prediction", NOWHERE),
        (json!({"presence_penalty": 0.125}), "presence_penalty", &["0.125"]),
        (json!({"prompt_cache_key": "k"}), "prompt_cache_key", NOWHERE),
        (json!({"prompt_cache_retention": "24h"}), "prompt_cache_retention", NOWHERE),
        (json!({"reasoning_effort": "low"}), "reasoning_effort", &["low", "1024", "thinking"]),
        (json!({"response_format": {"type": "json_object"}}), "response_format", &["json"]),
        (
            json!({"response_format": {"type": "json_object", "made_up": 1}}),
            "response_format.made_up",
            NOWHERE,
        ),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"title": "mark"}}}}),
            "response_format",
            &["mark"],
        ),
        (json!({"response_format": {"type": "grammar", "grammar": "g"}}), "response_format", NOWHERE),
        (json!({"safety_identifier": "mark"}), "safety_identifier", &["mark"]),
        (json!({"seed": 77}), "seed", &["77"]),
        (json!({"service_tier": "flex"}), "service_tier", &["flex"]),
        (json!({"stop": "mark"}), "stop", &["mark"]),
        (json!({"store": true}), "store", NOWHERE),
        (json!({"temperature": 0.125}), "temperature", &["0.125"]),
        (json!({"tools": tools, "tool_choice": "required"}), "tool_choice", &["required", "any", "ANY"]),
        (
            json!({"tools": tools, "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}}),
            "tool_choice",
            NOWHERE,
        ),
        (json!({"tools": [{"type": "custom", "custom": {"name": "c"}}]}), "tools[0]", NOWHERE),
        (function(json!({"description": "mark"})), "tools", &["mark"]),
        (function(json!({"strict": true})), "tools[0].function.strict", &["strict", "VALIDATED"]),
        (function(json!({"made_up": 1})), "tools[0].function.made_up", NOWHERE),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}}]}),
            "cache_control",
            &["cache_control"],
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f"}, "made_up": 1}]}),
            "tools[0].made_up",
            NOWHERE,
        ),
        (json!({"top_p": 0.125}), "top_p", &["0.125"]),
        (json!({"user": "mark"}), "user", &["mark"]),
        (json!({"verbosity": "high"}), "verbosity", &["high"]),
        (json!({"web_search_options": {"search_context_size": "low"}}), "web_search_options", NOWHERE),
        (
            json!({"messages": [{"role": "user", "name": "mark", "content": "hi"}]}),
            "messages[0].name",
            &["mark"],
        ),
        (
            json!({"messages": [{"role": "user", "content": "hi", "made_up": 1}]}),
            "messages[0].made_up",
            NOWHERE,
        ),
        (user(json!({"type": "text", "text": "x", "made_up": 1})), "messages[0].content[1].made_up", NOWHERE),
        (
            user(
                json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}),
            ),
            "image_url.detail",
            &["detail", "LOW"],
        ),
        (
            user(
                json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "made_up": 1}}),
            ),
            "messages[0].content[1].image_url.made_up",
            NOWHERE,
        ),
        (
            user(json!({"type": "input_audio", "input_audio": {"data": "MARK", "format": "wav"}})),
            "input_audio",
            &["MARK"],
        ),
        (user(json!({"type": "video_url", "video_url": {"url": "x"}})), "messages[0].content[1]", NOWHERE),
        (
            json!({"messages": [{"role": "user", "content": "hi"},
                {"role": "assistant", "content": "x", "audio": {"id": "a"}}]}),
            "messages[1].audio",
            NOWHERE,
        ),
        (json!({"made_up": 1}), "made_up", NOWHERE),
    ]
}

fn messages() -> Vec<Row> {
    let tool = |more: Value| {
        let mut tool = json!({"name": "f", "input_schema": {"type": "object"}});
        tool.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"tools": [tool]})
    };
    let tools = tool(json!({}))["tools"].clone();
    let marked = json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}});
    vec![
        (json!({"cache_control": {"type": "ephemeral"}}), "cache_control", NOWHERE),
        (user(marked), "cache_control", NOWHERE),
        (tool(json!({"cache_control": {"type": "ephemeral"}})), "cache_control", NOWHERE),
        (json!({"container": "c"}), "container", NOWHERE),
        (json!({"context_management": {"edits": [{"type": "clear"}]}}), "context_management", NOWHERE),
        (json!({"diagnostics": {"a": 1}}), "diagnostics", NOWHERE),
        (json!({"fallbacks": [{"model": "x"}]}), "fallbacks", NOWHERE),
        (json!({"inference_geo": "eu"}), "inference_geo", NOWHERE),
        (json!({"max_tokens": 77}), "max_tokens", &["77"]),
        (json!({"mcp_servers": [{"type": "url"}]}), "mcp_servers", NOWHERE),
        (json!({"metadata": {"user_id": "mark"}}), "metadata.user_id", &["mark"]),
        (json!({"metadata": {"other": "x"}}), "metadata", NOWHERE),
        (json!({"output_config": {"effort": "low"}}), "output_config.effort", &["low", "LOW"]),
        (
            json!({"output_config": {"format": {"type": "json_schema", "schema": {"title": "mark"}}}}),
            "output_config",
            &["mark"],
        ),
        (json!({"output_config": {"task_budget": {"total": 1}}}), "output_config.task_budget", NOWHERE),
        (json!({"service_tier": "standard_only"}), "service_tier", NOWHERE),
        (json!({"speed": "fast"}), "speed", NOWHERE),
        (json!({"stop_sequences": ["mark"]}), "stop_sequences", &["mark"]),
        (json!({"system": [{"type": "text", "text": "mark"}]}), "system", &["mark"]),
        (json!({"temperature": 0.125}), "temperature", &["0.125"]),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}), "thinking", &["low", "1024"]),
        (
            json!({"tools": tools, "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}),
            "tool_choice.disable_parallel_tool_use",
            &["parallel_tool_calls"],
        ),
        (json!({"tools": [{"type": "bash_20250124", "name": "bash"}]}), "tools[0]", NOWHERE),
        (json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}), "tools[0]", NOWHERE),
        (tool(json!({"strict": true})), "tools[0].strict", &["strict", "VALIDATED"]),
        (tool(json!({"input_examples": [{}]})), "tools[0].input_examples", NOWHERE),
        (tool(json!({"defer_loading": true})), "tools[0].defer_loading", NOWHERE),
        (tool(json!({"allowed_callers": ["code_execution_20250825"]})), "tools[0].allowed_callers", NOWHERE),
        (json!({"top_k": 77}), "top_k", &["77"]),
        (json!({"top_p": 0.125}), "top_p", &["0.125"]),
        (
            user(json!({"type": "search_result", "source": "s", "title": "t", "content": []})),
            "messages[0].content[1]",
            NOWHERE,
        ),
        (user(json!({"type": "container_upload", "file_id": "f"})), "messages[0].content[1]", NOWHERE),
        (
            user(json!({"type": "document", "citations": {"enabled": true},
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}})),
            "messages[0].content[1].citations",
            NOWHERE,
        ),
        (
            user(json!({"type": "document", "context": "c",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}})),
            "messages[0].content[1].context",
            NOWHERE,
        ),
        (json!({"made_up": 1}), "made_up", NOWHERE),
    ]
}

fn gemini() -> Vec<Row> {
    let config = |config: Value| json!({"generationConfig": config});
    let part = |part: Value| json!({"contents": [{"role": "user", "parts": [{"text": "hi"}, part]}]});
    let png = json!({"mimeType": "image/png", "data": "AA=="});
    vec![
        (json!({"cachedContent": "cachedContents/x"}), "cachedContent", NOWHERE),
        (json!({"labels": {"a": "b"}}), "labels", NOWHERE),
        (json!({"safetySettings": [{"category": "c"}]}), "safetySettings", NOWHERE),
        (json!({"serviceTier": "flex"}), "serviceTier", NOWHERE),
        (json!({"systemInstruction": {"parts": [{"text": "mark"}]}}), "systemInstruction", &["mark"]),
        (json!({"toolConfig": {"retrievalConfig": {"languageCode": "de"}}}), "toolConfig", NOWHERE),
        (json!({"tools": [{"googleSearch": {}}]}), "tools[0].googleSearch", NOWHERE),
        (json!({"tools": [{"codeExecution": {}}]}), "tools[0].codeExecution", NOWHERE),
        (json!({"tools": [{"urlContext": {}}]}), "tools[0].urlContext", NOWHERE),
        (
            json!({"tools": [{"functionDeclarations": [{"name": "f", "behavior": "NON_BLOCKING"}]}]}),
            "tools[0].functionDeclarations[0].behavior",
            NOWHERE,
        ),
        (config(json!({"candidateCount": 3})), "generationConfig.candidateCount", &["\"n\":3"]),
        (config(json!({"frequencyPenalty": 0.125})), "generationConfig.frequencyPenalty", &["0.125"]),
        (config(json!({"imageConfig": {"aspectRatio": "1:1"}})), "generationConfig.imageConfig", NOWHERE),
        (config(json!({"logprobs": 3})), "generationConfig.logprobs", &["top_logprobs"]),
        (config(json!({"maxOutputTokens": 77})), "generationConfig.maxOutputTokens", &["77"]),
        (
            config(json!({"mediaResolution": "MEDIA_RESOLUTION_LOW"})),
            "generationConfig.mediaResolution",
            NOWHERE,
        ),
        (config(json!({"presencePenalty": 0.125})), "generationConfig.presencePenalty", &["0.125"]),
        (config(json!({"responseLogprobs": true})), "generationConfig.responseLogprobs", &["logprobs"]),
        (config(json!({"responseMimeType": "application/json"})), "generationConfig", &["json"]),
        (config(json!({"responseMimeType": "text/x.enum"})), "generationConfig.responseMimeType", NOWHERE),
        (
            config(
                json!({"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT", "title": "mark"}}),
            ),
            "generationConfig",
            &["mark"],
        ),
        (config(json!({"responseModalities": ["AUDIO"]})), "generationConfig.responseModalities", NOWHERE),
        (config(json!({"seed": 77})), "generationConfig.seed", &["77"]),
        (config(json!({"speechConfig": {"languageCode": "de"}})), "generationConfig.speechConfig", NOWHERE),
        (config(json!({"stopSequences": ["mark"]})), "generationConfig.stopSequences", &["mark"]),
        (config(json!({"temperature": 0.125})), "generationConfig.temperature", &["0.125"]),
        (
            config(json!({"thinkingConfig": {"thinkingLevel": "low"}})),
            "generationConfig.thinkingConfig",
            &["low", "1024"],
        ),
        (
            config(json!({"thinkingConfig": {"made_up": 1}})),
            "generationConfig.thinkingConfig.made_up",
            NOWHERE,
        ),
        (config(json!({"topK": 77})), "generationConfig.topK", &["77"]),
        (config(json!({"topP": 0.125})), "generationConfig.topP", &["0.125"]),
        (
            part(json!({"inlineData": png, "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}})),
            "contents[0].parts[1].mediaResolution",
            NOWHERE,
        ),
        (
            part(json!({"inlineData": png, "videoMetadata": {"fps": 1}})),
            "contents[0].parts[1].videoMetadata",
            NOWHERE,
        ),
        (
            part(json!({"executableCode": {"language": "PYTHON", "code": "1"}})),
            "contents[0].parts[1].executableCode",
            NOWHERE,
        ),
        (
            part(json!({"fileData": {"fileUri": "gs://b/o", "mimeType": "video/mp4"}})),
            "contents[0].parts[1]",
            NOWHERE,
        ),
        (json!({"made_up": 1}), "made_up", NOWHERE),
    ]
}

fn responses() -> Vec<Row> {
    let tool = |tool: Value| json!({"tools": [tool]});
    let item = |item: Value| json!({"input": [{"role": "user", "content": "hi"}, item]});
    let tools = json!([{"type": "function", "name": "f", "parameters": {"type": "object"}}]);
    vec![
        (json!({"background": true}), "background", NOWHERE),
        (json!({"context_management": [{"type": "compaction"}]}), "context_management", NOWHERE),
        (json!({"conversation": "conv_1"}), "conversation", NOWHERE),
        (json!({"include": ["message.output_text.logprobs"]}), "include[0]", NOWHERE),
        (json!({"instructions": "mark"}), "instructions", &["mark"]),
        (json!({"max_output_tokens": 77}), "max_output_tokens", &["77"]),
        (json!({"max_tool_calls": 3}), "max_tool_calls", NOWHERE),
        (json!({"tools": tools, "parallel_tool_calls": false}), "parallel_tool_calls", &["parallel_tool"]),
        (json!({"previous_response_id": "resp_1"}), "previous_response_id", NOWHERE),
        (json!({"prompt": {"id": "pmpt_1"}}), "prompt", NOWHERE),
        (json!({"prompt_cache_key": "k"}), "prompt_cache_key", NOWHERE),
        (json!({"prompt_cache_retention": "24h"}), "prompt_cache_retention", NOWHERE),
        (json!({"reasoning": {"effort": "low"}}), "reasoning.effort", &["low", "1024"]),
        (json!({"reasoning": {"made_up": 1}}), "reasoning.made_up", NOWHERE),
        (json!({"safety_identifier": "mark"}), "safety_identifier", &["mark"]),
        (json!({"service_tier": "flex"}), "service_tier", &["flex"]),
        (json!({"temperature": 0.125}), "temperature", &["0.125"]),
        (json!({"text": {"format": {"type": "json_object"}}}), "text.format", &["json"]),
        (
            json!({"text": {"format": {"type": "json_schema", "name": "x", "schema": {"title": "mark"}}}}),
            "text.format",
            &["mark"],
        ),
        (json!({"text": {"verbosity": "high"}}), "text.verbosity", &["high"]),
        (json!({"tools": tools, "tool_choice": "required"}), "tool_choice", &["required", "any", "ANY"]),
        (json!({"tools": tools, "tool_choice": {"type": "file_search"}}), "tool_choice", NOWHERE),
        (tool(json!({"type": "web_search"})), "tools[0]", NOWHERE),
        (tool(json!({"type": "custom", "name": "c"})), "tools[0]", NOWHERE),
        (tool(json!({"type": "mcp", "server_label": "s"})), "tools[0]", NOWHERE),
        (
            tool(json!({"type": "function", "name": "f", "strict": true})),
            "tools[0].strict",
            &["strict", "VALIDATED"],
        ),
        (tool(json!({"type": "function", "name": "f", "made_up": 1})), "tools[0].made_up", NOWHERE),
        (json!({"top_logprobs": 3}), "top_logprobs", &["top_logprobs"]),
        (json!({"top_p": 0.125}), "top_p", &["0.125"]),
        (json!({"truncation": "auto"}), "truncation", NOWHERE),
        (json!({"user": "mark"}), "user", &["mark"]),
        (item(json!({"type": "item_reference", "id": "i"})), "input[1]", NOWHERE),
        (item(json!({"type": "web_search_call", "id": "i"})), "input[1]", NOWHERE),
        (item(json!({"type": "compaction", "encrypted_content": "x"})), "input[1]", NOWHERE),
        (
            item(json!({"role": "user", "content": [{"type": "input_image", "file_id": "MARK"}]})),
            "file_id",
            &["MARK"],
        ),
        (json!({"made_up": 1}), "made_up", NOWHERE),
    ]
}

fn body(from: Protocol, members: &Value) -> Bytes {
    let mut whole = match from {
        Protocol::Chat => json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}),
        Protocol::Messages => {
            json!({"model": "m", "max_tokens": 9_000, "messages": [{"role": "user", "content": "hi"}]})
        }
        Protocol::Gemini => json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
        Protocol::Responses => json!({"model": "m", "input": "hi"}),
    };
    let members: &Map<String, Value> = members.as_object().unwrap();
    whole.as_object_mut().unwrap().extend(members.clone());
    Bytes::from(whole.to_string())
}

/// What a translation that is not lenient, or is, does with a member; `None` where it is lost without a word.
fn told(
    (from, to): (Protocol, Protocol),
    (members, name, carried): &Row,
    is_lenient: bool,
) -> Result<(), String> {
    match request(from, to, &body(from, members), false, &TARGET, is_lenient) {
        Ok((written, dropped)) => {
            let written = String::from_utf8(written.to_vec()).unwrap();
            let is_carried = carried.iter().any(|mark| written.contains(mark));
            let is_named = dropped.iter().any(|dropped| dropped.starts_with(name));
            if is_carried || is_named { Ok(()) } else { Err(format!("{written}, dropped: {dropped:?}")) }
        }
        Err(TranslateFault::Untranslatable(fault)) if !is_lenient && fault.member.starts_with(name) => Ok(()),
        Err(fault) => Err(fault.to_string()),
    }
}

#[test]
fn no_member_is_lost_without_a_word() {
    let mut lost = Vec::new();
    for (from, to) in pairs() {
        let rows = match from {
            Protocol::Chat => chat(),
            Protocol::Messages => messages(),
            Protocol::Gemini => gemini(),
            Protocol::Responses => responses(),
        };
        for row in &rows {
            for is_lenient in [false, true] {
                if let Err(what) = told((from, to), row, is_lenient) {
                    lost.push(format!("{from:?} to {to:?}, lenient {is_lenient}: {}: {what}", row.0));
                }
            }
        }
    }
    assert!(lost.is_empty(), "{} are lost:\n{}", lost.len(), lost.join("\n"));
}
