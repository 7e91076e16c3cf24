//! A whole answer with status 200: is it one, and what does it say.
//!
//! Owns     the reading; the bytes pass to the client as they came.
//! Called   by the handler once the upstream's body is complete.
//! Bounded  by the JSON scanner; nothing is copied but the model's name.
//! Fails    with an [`AnswerFault`]: what arrives with a 200 is not always an answer.

use crate::event::{AnswerFault, WholeAnswer};
use crate::gemini::progress::Progress;
use crate::gemini::response::Response;
use crate::json;

/// Reads a GenerateContentResponse. One without candidates is an answer when it says that the prompt was refused.
///
/// # Errors
/// An [`AnswerFault`] when the body cannot be given to a client as an answer.
pub fn whole(body: &[u8]) -> Result<WholeAnswer, AnswerFault> {
    let mut progress = Progress::default();
    let response = progress.read(text_of(body)?)?;
    let model = expect_answer(response)?.model.map(String::from);
    Ok(WholeAnswer { usage: progress.usage(), counted: progress.counted(), model, goes_on: false })
}

/// The text of a body that is not empty.
pub(super) fn text_of(body: &[u8]) -> Result<&str, AnswerFault> {
    let text = json::utf8(body)?;
    if text.trim_ascii().is_empty() { Err(AnswerFault::Empty) } else { Ok(text) }
}

/// The response, if it answers or says why it does not.
pub(super) fn expect_answer(response: Response<'_>) -> Result<Response<'_>, AnswerFault> {
    match (response.candidates, &response.block_reason) {
        (0, None) => Err(AnswerFault::NoChoices),
        _ => Ok(response),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Usage;

    #[test]
    fn an_answer_says_its_usage_its_model_and_its_text() {
        let body = br#"{"candidates":[{"content":{"parts":[{"text":"I think","thought":true},{"text":"Hello there"}],
            "role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":2,
            "thoughtsTokenCount":3,"totalTokenCount":9},"modelVersion":"gemini-2.5-flash","responseId":"r"}"#;
        let answer = whole(body).unwrap();
        let reported = Usage { input: 4, output: 2, reasoning: 3, ..Usage::default() };
        assert_eq!(answer.usage, Some(reported));
        assert_eq!(answer.model.as_deref(), Some("gemini-2.5-flash"));
        assert!(answer.counted.output > 0 && answer.counted.reasoning > 0);
    }

    #[test]
    fn a_refused_prompt_is_an_answer() {
        let body = br#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":4}}"#;
        assert_eq!(whole(body).unwrap().usage.map(|usage| usage.input), Some(4));
    }

    #[test]
    fn what_is_no_answer_is_a_fault() {
        assert_eq!(whole(b" ").unwrap_err(), AnswerFault::Empty);
        assert!(matches!(whole(b"<html>").unwrap_err(), AnswerFault::NotJson(_)));
        assert_eq!(whole(b"{}").unwrap_err(), AnswerFault::NoChoices);
        assert_eq!(whole(br#"{"candidates":[]}"#).unwrap_err(), AnswerFault::NoChoices);
        let error =
            whole(br#"[{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}]"#).unwrap_err();
        assert!(matches!(error, AnswerFault::ErrorObject(error) if error.status == Some(503)));
    }
}
