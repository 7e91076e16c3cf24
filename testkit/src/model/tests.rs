use serde_json::{Value, json};

use super::*;
use crate::asked::Turn;
use crate::dialect::Dialect;

fn asked(text: &str, tools: &[(&str, Value)]) -> Asked {
    let turn = Turn { role: Role::User, text: text.to_owned(), images: 0 };
    let mut asked = Asked::plain(Dialect::Chat, Value::Null, vec![turn]);
    let tool = |(name, schema): &(&str, Value)| Tool { name: (*name).to_owned(), schema: schema.clone() };
    asked.tools = tools.iter().map(tool).collect();
    asked
}

fn calls(asked: &Asked) -> Vec<(String, String)> {
    let one = |call: ToolCall| (call.name.clone(), call.object().to_owned());
    tool_calls(asked).into_iter().map(one).collect()
}

#[test]
fn a_tool_that_is_spelled_out_is_called_with_its_digits_as_they_are() {
    let tools = [("find", Value::Null), ("get_time", Value::Null)];
    let question = r#"use tool find {"id":12345678901234567890123,"x":1.0} and use tool get_time"#;
    let expected = [("find", r#"{"id":12345678901234567890123,"x":1.0}"#), ("get_time", "{}")];
    assert_eq!(calls(&asked(question, &tools)), expected.map(|(n, a)| (n.to_owned(), a.to_owned())));
    assert_eq!(calls(&asked("use tool other {}", &tools)), []);
    assert_eq!(calls(&asked("What time is it?", &tools)).len(), 1);
    assert_eq!(calls(&asked("call all tools", &tools)).len(), 2);
}

#[test]
fn a_stop_text_ends_the_answer_before_it() {
    let mut question = asked("one two three", &[]);
    question.stops = vec!["three".to_owned(), "two".to_owned()];
    let spoken = speak(&question);
    assert_eq!(spoken.finish, Finish::StopSequence("two".to_owned()));
    assert_eq!(spoken.deltas.len(), 3, "You said: one");
}

#[test]
fn samples_fit_their_schema() {
    let cases = [
        (json!({"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}}), json!({"n": 1})),
        (json!({"type": ["null", "integer"], "minimum": 5, "multipleOf": 4}), json!(8)),
        (json!({"type": "integer", "maximum": -3}), json!(-3)),
        (json!({"type": "number", "maximum": 0.5}), json!(0.5)),
        (json!({"type": "string", "minLength": 6}), json!("textxx")),
        (json!({"type": "string", "maxLength": 2}), json!("te")),
        (json!({"type": "array", "minItems": "2", "items": {"const": 7}}), json!([7, 7])),
        (json!({"type": "array", "maxItems": 0, "items": {"const": 7}}), json!([])),
        (json!({"anyOf": [{"type": "null"}, {"type": "boolean"}]}), json!(true)),
        (
            json!({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]}),
            json!({"a": 1, "b": 2}),
        ),
    ];
    for (schema, value) in cases {
        assert_eq!(sample::sample(&schema), value, "{schema}");
    }
}
