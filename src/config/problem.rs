//! What can be wrong with a configuration, in words: a variant per kind, with what a person needs to mend it.
//!
//! Owns     the messages. Each tells what was wrong and the cure; the place and the member stand before it.
//! Called   by everything that reads configuration.
//! Bounded  by the files that are read.
//! Fails    never. No variant can hold a secret: where a value may be one, the variant does not take it.

use std::io::ErrorKind;
use std::path::PathBuf;

/// What a fault is about. The words tell the cure; none holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message is its documentation")]
pub enum Problem {
    #[error("no such file or folder")]
    NotFound,
    #[error(
        "no such file below {}, and no folder of clients either; start in the folder that has them, or name the file with \
         --config; to begin with the built-in configuration make the folder {}", below.display(), clients.display()
    )]
    NoConfiguration { below: PathBuf, clients: PathBuf },
    #[error("cannot be read: {kind}")]
    Unreadable { kind: ErrorKind },
    #[error("larger than {most} bytes; a configuration file must not be")]
    FileTooLarge { most: u64 },
    #[error("not UTF-8 text; save it in that encoding")]
    NotUtf8,
    #[error("not valid {format}: {message}")]
    Syntax { format: &'static str, message: String },
    #[error("nested more than {most} levels deep")]
    TooDeep { most: usize },
    #[error("written twice; keep one")]
    Duplicate,
    #[error("unknown key; {}", cure_of_unknown(nearest, known))]
    UnknownKey { nearest: Option<&'static str>, known: Vec<&'static str> },
    #[error("cannot be set; {cure}")]
    NotSettable { cure: &'static str },
    #[error("missing; write {expected}")]
    Missing { expected: &'static str },
    #[error("expected {expected}, found {found}")]
    WrongType { expected: &'static str, found: &'static str },
    #[error("must not be empty")]
    Empty,
    #[error("`{written}` is no flag of `anthropic-beta`; write one such as \"context-1m-2025-08-07\"")]
    NotABeta { written: String },
    #[error("only providers of kind `{kind}` have this; leave it out")]
    OnlyForKind { kind: &'static str },
    #[error("{written} is too small; use {least} or more")]
    TooSmall { written: String, least: u64 },
    #[error("{written} is too large; use {most} or less")]
    TooLarge { written: String, most: u64 },
    #[error("more than {most} entries")]
    TooMany { most: usize },
    #[error("{written} is outside 0 to 1")]
    NotAShare { written: String },
    #[error(
        "`{written}` is not a duration; write a whole number and a unit, such as \"500ms\", \"30s\", \
         \"10m\", \"1h\" or \"7d\""
    )]
    NotADuration { written: String },
    #[error("longer than 366 days")]
    DurationTooLong,
    #[error("must be longer than 0s")]
    ZeroDuration,
    #[error(
        "`{written}` is not a size; write a number of bytes, or a whole number and a unit such as \
         \"64KiB\", \"32MiB\" or \"1GiB\""
    )]
    NotASize { written: String },
    #[error("`{written}` is not an address to listen on; write one such as 127.0.0.1:8000 or [::]:8000")]
    NotAListenAddress { written: String },
    #[error("`{written}` is not an address or network; write one such as 10.0.0.0/8, 192.0.2.7 or fd00::/8")]
    NotANetwork { written: String },
    #[error("`{written}` is not an origin; write one such as https://app.example.com, without a path")]
    NotAnOrigin { written: String },
    #[error(
        "not an address of an API; write one such as https://api.example.com/v1, without user, password, \
         `?` or `#`"
    )]
    NotABaseUrl,
    #[error("unknown {what} `{written}`; use one of {}", allowed.join(", "))]
    UnknownWord { what: &'static str, written: String, allowed: Vec<String> },
    #[error("expected a header as \"name: value\", in visible ASCII characters")]
    NotAHeader,
    #[error("expected what follows the `?` of an address, such as \"api-version=2025-04-01-preview\"")]
    NotAQuery,
    #[error("not used by a provider of kind `echo`; remove it")]
    NotForEcho,
    #[error("beside `api_key_env`; keep one of the two")]
    TwoKeySources,
    #[error("`{written}` is not a name; use 1 to 64 of the characters A-Z a-z 0-9 . _ -")]
    NotAName { written: String },
    #[error(
        "not the name of an environment variable; a key itself belongs into that variable or into .env, \
         never into this file"
    )]
    NotAVariableName,
    #[error(
        "`{written}` is not a model name; use 1 to 256 of the characters A-Z a-z 0-9 . _ : / @ + - without \
         a `.` or `..` between slashes"
    )]
    NotAModelName { written: String },
    #[error("`{written}` is not a pattern; use 1 to 256 of the characters of a model name and `*`")]
    NotAPattern { written: String },
    #[error("`{written}` is not a target; write provider/model")]
    NotATarget { written: String },
    #[error(
        "{holder} holds what no key or token can be; it must be one line of visible ASCII characters \
         without blanks"
    )]
    UnusableSecret { holder: String },
    #[error("client_id is `{id}` but the file is named {file}; name it {id}.json")]
    WrongFileName { id: String, file: String },
    #[error("the name of the file is not UTF-8 text; name it after its client_id")]
    FileNameNotUtf8,
    #[error("not a hash; make one with `dsp-ai-gateway hash` and never write the secret itself")]
    NotAHash,
    #[error(
        "an argon2id hash with costs beyond 1 GiB of memory, 100 passes or 64 lanes; make a cheaper one \
         with `dsp-ai-gateway hash --argon2id`"
    )]
    CostlyHash,
    #[error(
        "an API key takes a SHA-256 hash, so that it can be found by it; make one with `dsp-ai-gateway hash`"
    )]
    ApiKeyNeedsSha256,
    #[error("the same API key as client `{other}`; give each client its own")]
    SharedApiKey { other: String },
    #[error("not PEM: {message}; write the text that begins with -----BEGIN")]
    NotPem { message: String },
    #[error("no certificate in this file; it must have one, between -----BEGIN CERTIFICATE----- and its end")]
    NoCertificate,
    #[error("a certificate that cannot be read: {message}; have it issued anew")]
    UnusableCertificate { message: String },
    #[error("no private key in this file; it must have one, in the form of PKCS#8, PKCS#1 or SEC1")]
    NoPrivateKey,
    #[error("the private key is encrypted; write it without a password, readable by the gateway alone")]
    EncryptedKey,
    #[error("not the key of the certificate; write the pair that belongs together")]
    KeyOfAnotherCertificate,
    #[error(
        "a private key that cannot be used: {message}; make one for ECDSA P-256 or P-384, Ed25519 or RSA"
    )]
    UnusableKey { message: String },
    #[error("`{written}` is not a time; write one such as 2026-11-30T12:00:00Z")]
    NotATime { written: String },
    #[error("provider `{provider}` is not configured; the providers are {}", known.join(", "))]
    UnknownProvider { provider: String, known: Vec<String> },
    #[error("a replacement without a date; add `retired`, such as retired = 2026-08-16")]
    ReplacementOnly,
    #[error("not after `not_before`, so that it is never valid")]
    NeverValid,
    #[error(
        "`{written}` is not an amount of US dollars; write one such as \"5.00\", from \"0\" to \"18000000\" \
         with at most 12 decimals"
    )]
    NotDollars { written: String },
    #[error(
        "`{written}` is not a price; write US dollars per million tokens, such as 0.15 or \"0.15\", from 0 to \
         1000000 with at most 6 decimals"
    )]
    NotAPrice { written: String },
    #[error(
        "`{written}` is no log level; write error, warn, info, debug, trace or off, and a level of its own for a part of \
         the program as in info,hyper=debug"
    )]
    NotALogLevel { written: String },
    #[error("not KEY=VALUE; write one variable per line, or start the line with # to make it a comment")]
    NotAnAssignment,
    #[error("a quotation mark is not closed on this line")]
    OpenQuote,
    #[error("text after the closing quotation mark; remove it, or start it with # to make it a comment")]
    AfterQuote,
}

fn cure_of_unknown(nearest: &Option<&'static str>, known: &[&'static str]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// What a warning is about. None holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message is its documentation")]
pub enum Concern {
    #[error("unknown member, ignored{}", guess(nearest))]
    UnknownMember { nearest: Option<&'static str> },
    #[error("no such file; the built-in configuration is used, with the providers openai, groq and echo")]
    BuiltInConfiguration,
    #[error("provider `{provider}` has no key; {cure}; until then its calls are answered 503")]
    ProviderWithoutKey { provider: String, cure: String },
    #[error("key `{key}` of provider `{provider}` is missing; {cure}; until then the other keys serve alone")]
    KeyMissing { provider: String, key: String, cure: String },
    #[error("`{pattern}` stands under provider `{winner}` too, which gets these models")]
    PatternTaken { pattern: String, winner: String },
    #[error("smaller than max_body_bytes, so that the largest bodies are always refused")]
    LargestBodyNeverFits,
    #[error("model `{model}` is retired as of {since}{}", successor(replacement))]
    RetiredModel { model: String, since: jiff::civil::Date, replacement: Option<String> },
    #[error("no provider serves `{model}`, so that the retired model is asked for all the same")]
    ReplacementNowhere { model: String },
    #[error("provider `{provider}` is not configured")]
    UnknownProvider { provider: String },
    #[error("provider `{provider}` is not among allowed_providers")]
    ProviderNotAllowed { provider: String },
    #[error(
        "model `{model}` belongs to provider `{owner}` by its `models`, and not to `{provider}`; make that the \
         default provider, or name a model of `{provider}`"
    )]
    ModelElsewhere { model: String, provider: String, owner: String },
    #[error("without default_provider it is never used; name its provider there")]
    DefaultModelAlone,
    #[error("model `{model}` is not among allowed_models, so that requests without a model are refused")]
    ModelNotAllowed { model: String },
    #[error("unknown endpoint `{endpoint}`; the endpoints are {}", known.join(", "))]
    UnknownEndpoint { endpoint: String, known: Vec<&'static str> },
    #[error("empty or missing, so that the client may use no {what}")]
    NothingAllowed { what: &'static str },
    #[error(
        "model `{model}` of provider `{provider}` has no price, so that a budget refuses its calls; add {row} with \
         `input = …` and `output = …` to {file}"
    )]
    NoPrice { provider: String, model: String, row: String, file: String },
    #[error(
        "no credential, so that the client cannot authenticate; make one with `dsp-ai-gateway client rotate \
         {client}`"
    )]
    NoCredential { client: String },
    #[error(
        "the published secret of the examples; it is accepted from this machine only, so make your own with \
         `dsp-ai-gateway client rotate {client}`"
    )]
    PublishedSecret { client: String },
    #[error(
        "a secret in plain text, ignored; put its hash, made with `dsp-ai-gateway hash`, into {instead} and \
         remove it here"
    )]
    PlainSecret { instead: &'static str },
    #[error("the certificate has expired, at {end}, so that clients refuse it; put a new pair in its place")]
    CertificateExpired { end: jiff::Timestamp },
    #[error("the certificate ends in less than 30 days, at {end}; put a new pair in its place before")]
    CertificateEndsSoon { end: jiff::Timestamp },
    #[error(
        "{address} can be reached from other machines, and keys and prompts come there in plain text; set [server.tls], \
         or let nobody but a proxy with TLS reach it"
    )]
    PlainHttp { address: std::net::SocketAddr },
    #[error(
        "shorter than {least} characters, so that it can be guessed, and it opens everything below /admin; make one with \
         `openssl rand -hex 32`, or leave it out and have one made"
    )]
    ShortAdminToken { least: usize },
    #[error(
        "every address is a trusted proxy, so that any caller may write the address that counts as its own into \
         X-Forwarded-For; name the proxies alone"
    )]
    TrustsEverybody,
    #[error(
        "browsers may call from the page of anybody; name the origins of your own pages, such as \
         https://app.example.com"
    )]
    AnyOrigin,
    #[error(
        "the key of provider `{provider}` and all prompts go to {host} in plain text; write https:// if it has TLS, or \
         an address of your own network"
    )]
    KeyInPlainText { provider: String, host: String },
    #[error("no client file in this folder; make one with `dsp-ai-gateway client new ID`")]
    NoClients,
}

fn guess(nearest: &Option<&'static str>) -> String {
    nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default()
}

fn successor(replacement: &Option<String>) -> String {
    match replacement {
        Some(model) => format!("; its replacement is `{model}`, so name that"),
        None => "; name another model".to_owned(),
    }
}
