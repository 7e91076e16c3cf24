use super::*;

fn found(body: &str) -> Vec<(&'static str, String)> {
    let found = references(body.as_bytes()).unwrap();
    found.into_iter().map(|reference| (reference.what, reference.id)).collect()
}

#[test]
fn each_apis_references_are_found_whatever_the_spelling() {
    for (body, what, id) in [
        (r#"{"messages":[{"content":[{"type":"file","file":{"file_id":"f"}}]}]}"#, "file", "f"),
        (r#"{"messages":[{"content":[{"type":"file","file":{"file\u005fid":"f"}}]}]}"#, "file", "f"),
        (r#"{"input":[{"role":"user","content":[{"type":"input_image","file_id":"f"}]}]}"#, "file", "f"),
        (
            r#"{"input":[{"type":"function_call_output","output":[{"type":"input_file","file_id":"f"}]}]}"#,
            "file",
            "f",
        ),
        (
            r#"{"messages":[{"content":[{"type":"document","source":{"type":"file","file_id":"f"}}]}]}"#,
            "file",
            "f",
        ),
        (
            r#"{"tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":["f","f"]}}]}"#,
            "file",
            "f",
        ),
        (r#"{"input":[{"type":"item_reference","id":"i"}]}"#, "item", "i"),
        (r#"{"input":[{"id":"i"}]}"#, "item", "i"),
        (r#"{"input":[{"id":"i","type":null}]}"#, "item", "i"),
        (r#"{"conversation":"c"}"#, "conversation", "c"),
        (r#"{"conversation":{"id":"c"}}"#, "conversation", "c"),
        (r#"{"cachedContent":"cachedContents/x"}"#, "cached content", "cachedContents/x"),
        (
            r#"{"contents":[{"parts":[{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/a"}}]}]}"#,
            "file",
            "files/a",
        ),
        (r#"{"contents":[{"parts":[{"file_data":{"file_uri":"files/a"}}]}]}"#, "file", "files/a"),
        (
            r#"{"input":[{"type":"document","uri":"HTTPS://GenerativeLanguage.googleapis.com/v1beta/files/a"}]}"#,
            "file",
            "files/a",
        ),
        (r#"{"tools":[{"type":"code_interpreter","container":"c"}]}"#, "container", "c"),
        (
            r#"{"tools":[{"type":"shell","environment":{"type":"container_reference","container_id":"c"}}]}"#,
            "container",
            "c",
        ),
        (r#"{"input":[{"type":"code_interpreter_call","id":"ci","container_id":"c"}]}"#, "container", "c"),
        (r#"{"container":"c","messages":[]}"#, "container", "c"),
        (r#"{"container":{"id":"c","skills":[{"type":"anthropic","skill_id":"pdf"}]}}"#, "container", "c"),
        (r#"{"tools":[{"type":"file_search","vector_store_ids":["v","v"]}]}"#, "vector store", "v"),
        (r#"{"tools":[{"type":"image_generation","input_image_mask":{"file_id":"f"}}]}"#, "file", "f"),
        (r#"{"tools":[{"fileSearch":{"fileSearchStoreNames":["s"]}}]}"#, "file search store", "s"),
        (r#"{"tools":[{"file_search":{"file_search_store_names":["s"]}}]}"#, "file search store", "s"),
        (r#"{"tools":[{"type":"file_search","file_search_store_names":["s"]}]}"#, "file search store", "s"),
        // Whichever type counts.
        (r#"{"a":{"type":"file","file_id":"f","type":"code_execution_output"}}"#, "file", "f"),
    ] {
        assert_eq!(found(body), [(what, id.to_owned())], "{body}");
    }
}

#[test]
fn what_a_model_a_tool_or_a_schema_says_is_no_reference() {
    for body in [
        r#"{"messages":[{"content":[{"type":"tool_use","id":"t","input":{"file_id":"f","uri":"files/a"}}]}]}"#,
        r#"{"contents":[{"parts":[{"functionCall":{"args":{"file_id":"f"}}},{"functionResponse":{"response":{"file_id":"f"}}}]}]}"#,
        r#"{"tools":[{"function":{"parameters":{"properties":{"file_id":{"default":"f"}},"example":{"file_id":"f"}}}}]}"#,
        r#"{"input":[{"type":"function_call","id":"fc","arguments":"{\"file_id\":\"f\"}"},{"role":"user","id":"m","content":"x"}]}"#,
        r#"{"input":[{"type":"message","id":"m","content":[]},{"type":"function_result","result":{"file_id":"f"}}]}"#,
        r#"{"messages":[{"content":"the file_id is \"file_id\":\"f\""}]}"#,
        r#"{"metadata":{"file_id":"f"},"contents":[{"parts":[{"fileData":{"fileUri":"https://youtu.be/files/x"}}]}]}"#,
        r#"{"file_id":null,"conversation":null,"container":null}"#,
        r#"{"messages":[{"content":[{"type":"code_execution_tool_result","content":{"content":[{"type":"code_execution_output","file_id":"f"}]}}]}]}"#,
        r#"{"input":[{"type":"message","role":"assistant","content":[{"type":"output_text","annotations":[{"type":"container_file_citation","container_id":"c","file_id":"f"}]}]}]}"#,
        r#"{"input":[{"type":"file_search_call","id":"fs","results":[{"file_id":"f"}]}]}"#,
        r#"{"tools":[{"type":"code_interpreter","container":{"type":"auto"}},{"type":"file_search","description":{"vector_store_ids":["v"]}}]}"#,
        "no JSON with file_id",
    ] {
        assert_eq!(found(body), [], "{body}");
    }
}

#[test]
fn more_than_a_request_can_mean_is_a_fault() {
    let files = |n: usize| {
        let parts: Vec<String> = (0..n).map(|nth| format!("{{\"file_id\":\"f{nth}\"}}")).collect();
        format!("{{\"messages\":[{}]}}", parts.join(","))
    };
    assert_eq!(found(&files(REFERENCES_MAX)).len(), REFERENCES_MAX);
    assert!(references(files(REFERENCES_MAX + 1).as_bytes()).is_err());
}

#[test]
fn the_deepest_body_is_walked() {
    let deep = format!("{{\"a\":{}{{\"file_id\":\"f\"}}{}}}", "[".repeat(500), "]".repeat(500));
    assert_eq!(found(&deep).len(), 1);
    let too_deep = format!("{{\"file_id\":\"f\",\"a\":{}", "[".repeat(100_000));
    assert_eq!(found(&too_deep).len(), 1);
}
