use super::*;

fn text(bytes: Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn refused() -> ErrorBody<'static> {
    ErrorBody {
        status: 429,
        message: "tokens_per_day is used up",
        kind: "insufficient_quota",
        param: None,
        code: Some("insufficient_quota"),
        limit: Some(LimitInfo {
            name: "tokens_per_day",
            limit: Amount::Count(100_000),
            used: Amount::Count(99_990),
            reset_at: Some(1_795_651_200),
        }),
        request_id: "req_7",
    }
}

fn failed(status: u16) -> ErrorBody<'static> {
    ErrorBody {
        status,
        message: "no",
        kind: "server_error",
        param: None,
        code: None,
        limit: None,
        request_id: "req_1",
    }
}

#[test]
fn a_path_tells_the_dialect_even_when_no_route_is_there() {
    let cases = [
        (Dialect::Seed, ["/api/v1/generate", "/api/v1", "/", "/admin/tree", "/v10/x", "/v1beta2"].as_slice()),
        (Dialect::OpenAi, &["/v1", "/v1/", "/v1/models/a/b", "/openai/v1/chat/completions", "/v1/messagesX"]),
        (Dialect::Anthropic, &["/v1/messages", "/v1/messages/", "/v1/messages/count_tokens"]),
        (Dialect::OpenAi, &["/v1/models/ft:m:org", "/v1/models/countTokens"]),
        (
            Dialect::Gemini,
            &["/v1beta", "/v1beta/models/m:generateContent", "/v1/models/a/b:c:streamGenerateContent"],
        ),
        (Dialect::Interactions, &["/v1beta/interactions", "/v1beta/interactions/v1_x/cancel"]),
        (Dialect::Gemini, &["/v1beta/interactionsX"]),
    ];
    for (dialect, paths) in cases {
        for path in paths {
            assert_eq!(Dialect::of_path(path), dialect, "{path}");
        }
    }
}

#[test]
fn the_seed_answers_one_detail() {
    let body = ErrorBody { message: "no \"such\"\nclient", ..failed(401) };
    assert_eq!(text(render(Dialect::Seed, &body)), r#"{"detail":"no \"such\"\nclient"}"#);
}

#[test]
fn openai_always_has_its_four_members() {
    assert_eq!(
        text(render(Dialect::OpenAi, &failed(500))),
        r#"{"error":{"message":"no","type":"server_error","param":null,"code":null}}"#
    );
    let body = ErrorBody { param: Some("max_tokens"), code: Some("c"), ..failed(400) };
    assert_eq!(
        text(render(Dialect::OpenAi, &body)),
        r#"{"error":{"message":"no","type":"server_error","param":"max_tokens","code":"c"}}"#
    );
}

#[test]
fn openai_shows_the_limit_inside_the_error() {
    assert_eq!(
        text(render(Dialect::OpenAi, &refused())),
        concat!(
            r#"{"error":{"message":"tokens_per_day is used up","type":"insufficient_quota","param":null,"#,
            r#""code":"insufficient_quota","limit":{"name":"tokens_per_day","limit":100000,"used":99990,"#,
            r#""reset_at":"2026-11-26T00:00:00Z"}}}"#
        )
    );
}

#[test]
fn money_is_a_number_of_dollars_with_every_digit() {
    let limit = LimitInfo {
        name: "usd_per_day",
        limit: Amount::Money(Usd(5_000_000_000_000)),
        used: Amount::Money(Usd(4_999_999_999_999)),
        reset_at: None,
    };
    let body = text(render(Dialect::OpenAi, &ErrorBody { limit: Some(limit), ..failed(429) }));
    let expected = r#""limit":{"name":"usd_per_day","limit":5.00,"used":4.999999999999,"reset_at":null}"#;
    assert!(body.contains(expected), "{body}");
}

#[test]
fn a_limit_that_no_clock_frees_has_no_reset() {
    let eight = Amount::Count(8);
    let limit = LimitInfo { name: "concurrent_requests", limit: eight, used: eight, reset_at: None };
    let body = text(render(Dialect::OpenAi, &ErrorBody { limit: Some(limit), ..failed(429) }));
    assert!(
        body.ends_with(r#","limit":{"name":"concurrent_requests","limit":8,"used":8,"reset_at":null}}}"#),
        "{body}"
    );
}

#[test]
fn the_other_dialects_leave_the_limit_out() {
    assert_eq!(text(render(Dialect::Seed, &refused())), r#"{"detail":"tokens_per_day is used up"}"#);
    assert_eq!(
        text(render(Dialect::Anthropic, &refused())),
        concat!(
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"tokens_per_day is used up"},"#,
            r#""request_id":"req_7"}"#
        )
    );
    assert_eq!(
        text(render(Dialect::Gemini, &refused())),
        r#"{"error":{"code":429,"message":"tokens_per_day is used up","status":"RESOURCE_EXHAUSTED"}}"#
    );
}

#[test]
fn each_status_has_its_name_in_anthropics_and_geminis_dialect() {
    let names = [
        (400, "invalid_request_error", "INVALID_ARGUMENT"),
        (401, "authentication_error", "UNAUTHENTICATED"),
        (403, "permission_error", "PERMISSION_DENIED"),
        (404, "not_found_error", "NOT_FOUND"),
        (405, "invalid_request_error", "INVALID_ARGUMENT"),
        (413, "request_too_large", "INVALID_ARGUMENT"),
        (422, "invalid_request_error", "INVALID_ARGUMENT"),
        (429, "rate_limit_error", "RESOURCE_EXHAUSTED"),
        (500, "api_error", "INTERNAL"),
        (502, "api_error", "UNAVAILABLE"),
        (503, "overloaded_error", "UNAVAILABLE"),
        (504, "timeout_error", "DEADLINE_EXCEEDED"),
        (529, "overloaded_error", "UNAVAILABLE"),
    ];
    for (status, anthropic, gemini) in names {
        let rendered = text(render(Dialect::Anthropic, &failed(status)));
        assert!(rendered.contains(&format!(r#""error":{{"type":"{anthropic}","#)), "{status}: {rendered}");
        let rendered = text(render(Dialect::Gemini, &failed(status)));
        assert!(rendered.ends_with(&format!(r#""status":"{gemini}"}}}}"#)), "{status}: {rendered}");
    }
}

#[test]
fn a_broken_stream_ends_in_one_event_of_its_dialect() {
    let body = ErrorBody { message: "cut\r\noff", ..failed(502) };
    assert_eq!(
        text(render_stream_error(Dialect::OpenAi, &body)),
        concat!(
            r#"data: {"error":{"message":"cut\r\noff","type":"server_error","param":null,"code":null}}"#,
            "\n\n"
        )
    );
    assert_eq!(
        text(render_stream_error(Dialect::Anthropic, &body)),
        concat!(
            "event: error\n",
            r#"data: {"type":"error","error":{"type":"api_error","message":"cut\r\noff"},"request_id":"req_1"}"#,
            "\n\n"
        )
    );
    assert_eq!(
        text(render_stream_error(Dialect::Gemini, &body)),
        concat!(r#"data: {"error":{"code":502,"message":"cut\r\noff","status":"UNAVAILABLE"}}"#, "\n\n")
    );
}

#[test]
fn moments_are_written_as_rfc_3339() {
    let moments = [
        (0, "1970-01-01T00:00:00Z"),
        (86_399, "1970-01-01T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (951_868_800, "2000-03-01T00:00:00Z"),
        (4_107_542_399, "2100-02-28T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (1_798_761_599, "2026-12-31T23:59:59Z"),
        (1_798_761_600, "2027-01-01T00:00:00Z"),
    ];
    for (seconds, written) in moments {
        assert_eq!(rfc3339(seconds), written);
    }
    // The largest number is no reason to panic.
    assert!(rfc3339(u64::MAX).ends_with('Z'));
}

#[test]
fn an_interaction_is_refused_as_gemini_refuses_and_breaks_with_an_event_of_its_own() {
    let body = ErrorBody { message: "cut\nshort", ..failed(502) };
    assert_eq!(render(Dialect::Interactions, &body), render(Dialect::Gemini, &body));
    assert_eq!(
        text(render_stream_error(Dialect::Interactions, &body)),
        "event: error\ndata: {\"event_type\":\"error\",\"error\":{\"code\":\"unavailable\",\"message\":\"cut\\nshort\"}}\n\n"
    );
}
