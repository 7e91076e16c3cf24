//! The part of Gemini's paths that says which model and what is asked of it.
//!
//! Owns     the reading of `models/M:method`.
//! Called   by the routes below `/v1beta`.
//! Bounded  by the path.
//! Fails    with `None`: no such route.

/// What is asked of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// A whole answer.
    GenerateContent,
    /// The answer as a stream.
    StreamGenerateContent,
    /// The prompt's tokens.
    CountTokens,
}

impl Method {
    /// The name in the path, behind the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GenerateContent => "generateContent",
            Self::StreamGenerateContent => "streamGenerateContent",
            Self::CountTokens => "countTokens",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::GenerateContent, Self::StreamGenerateContent, Self::CountTokens]
            .into_iter()
            .find(|method| method.as_str() == name)
    }
}

/// The model's name and the method of a path below `/v1beta/` or `/v1beta/models/`, query excluded.
///
/// Percent-escapes are resolved. The method stands behind the last colon, since a model's name may hold one
/// (`llama3:8b`). The collection `models/` is no part of the name; any other, such as `tunedModels/`, is.
///
/// ```
/// use gateway_protocols::gemini::{Method, path};
///
/// let asked = path("models/gemini-2.5-flash:generateContent");
/// assert_eq!(asked, Some(("gemini-2.5-flash".to_owned(), Method::GenerateContent)));
/// let tuned = path("tunedModels/mine:countTokens");
/// assert_eq!(tuned, Some(("tunedModels/mine".to_owned(), Method::CountTokens)));
/// ```
pub fn path(rest: &str) -> Option<(String, Method)> {
    let rest = percent_decoded(rest)?;
    let (model, method) = rest.rsplit_once(':')?;
    let model = model.strip_prefix("models/").unwrap_or(model);
    let method = Method::named(method)?;
    (!model.is_empty()).then(|| (model.to_owned(), method))
}

/// The text with its escapes resolved (RFC 3986, section 2.1); `None` when an escape is broken or the result is not
/// UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?,
            plain => plain,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    // A digit of base 16 fits.
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(rest: &str) -> Option<String> {
        path(rest).map(|(model, _)| model)
    }

    #[test]
    fn the_model_may_hold_slashes_and_colons_escaped_or_not() {
        for rest in [
            "models/groq/openai/gpt-oss-20b:generateContent",
            "models/groq%2Fopenai%2fgpt-oss-20b:generateContent",
            "groq/openai/gpt-oss-20b%3AgenerateContent",
        ] {
            assert_eq!(model(rest).as_deref(), Some("groq/openai/gpt-oss-20b"), "{rest}");
        }
        assert_eq!(model("models/ollama/llama3:8b:countTokens").as_deref(), Some("ollama/llama3:8b"));
    }

    #[test]
    fn every_method_is_known_by_its_name() {
        for method in [Method::GenerateContent, Method::StreamGenerateContent, Method::CountTokens] {
            assert_eq!(path(&format!("models/m:{}", method.as_str())), Some(("m".to_owned(), method)));
        }
    }

    #[test]
    fn what_is_no_such_route_is_none() {
        for rest in [
            "",
            "models/m",
            "models/:generateContent",
            "models/m:embedContent",
            "models/m:generateContent/",
            "models/%zz:generateContent",
            "models/%f:generateContent",
            "models/%ff:generateContent",
            "models/m:generateContent%",
        ] {
            assert_eq!(path(rest), None, "{rest}");
        }
    }
}
