//! One value as written to one value as meant: durations, sizes, addresses, names.
//!
//! Owns     the forms in which a person may write each of them.
//! Called   through `Section::get` and `Section::list`.
//! Bounded  by the range of each kind, named beside it.
//! Fails    with the problem and its cure; `Section` adds the place.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use gateway_actors::glob::{Glob, MODEL_NAME_MAX, is_model_name};
use gateway_limits::PICO_PER_USD;
use gateway_protocols::anthropic::beta;
use http::{HeaderName, HeaderValue, Uri};
use ipnet::IpNet;
use jiff::civil::Date;

use super::{Problem, Value};

/// The longest duration: adding it to any clock in use cannot overflow, and nobody means more.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The longest name of a provider or key.
const NAME_MAX: usize = 64;

/// The decimals of a dollar down to a pico-dollar (10^-12).
const DOLLAR_DECIMALS: usize = PICO_PER_USD.ilog10() as usize;

/// The most dollars whose pico-dollars, with any fraction, fit 64 bits; rounded down to a number for people.
const DOLLARS_MAX: u64 = 18_000_000;

/// The decimals of a price per million tokens that are whole pico-dollars per token: 10^-6 of 10^-6.
const PRICE_DECIMALS: usize = 6;

/// The highest price per million tokens, in dollars: a dollar a token, a thousand times what the dearest model
/// costs. Beyond it somebody wrote the price of something else.
const PRICE_MAX: u64 = 1_000_000;

type Read<T> = Result<T, Problem>;

pub(crate) fn boolean(value: &Value) -> Read<bool> {
    match value {
        Value::Boolean(boolean) => Ok(*boolean),
        other => Err(other.instead_of("true or false")),
    }
}

pub(crate) fn text(value: &Value) -> Read<String> {
    string(value, "a string").map(str::to_owned)
}

/// A string that says something.
pub(crate) fn filled_text(value: &Value) -> Read<String> {
    match string(value, "a string")? {
        "" => Err(Problem::Empty),
        filled => Ok(filled.to_owned()),
    }
}

pub(crate) fn path(value: &Value) -> Read<PathBuf> {
    filled_text(value).map(PathBuf::from)
}

/// A whole number in a range.
pub(crate) fn whole(least: u64, most: u64) -> impl Fn(&Value) -> Read<u64> {
    move |value| {
        let Value::Whole(number) = value else { return Err(value.instead_of("a whole number")) };
        if *number < i128::from(least) {
            return Err(Problem::TooSmall { written: number.to_string(), least });
        }
        match u64::try_from(*number) {
            Ok(number) if number <= most => Ok(number),
            _ => Err(Problem::TooLarge { written: number.to_string(), most }),
        }
    }
}

/// A whole number in a range that 32 bits hold.
pub(crate) fn whole_u32(least: u32, most: u32) -> impl Fn(&Value) -> Read<u32> {
    let read = whole(least.into(), most.into());
    // `most` fits, so the number does.
    move |value| read(value).map(|number| u32::try_from(number).unwrap_or(most))
}

/// A share: 0 to 1.
pub(crate) fn share(value: &Value) -> Read<f64> {
    let (written, number) = match value {
        Value::Decimal(written) => (written.clone(), written.parse().unwrap_or(f64::NAN)),
        Value::Whole(0) => (String::new(), 0.0),
        Value::Whole(1) => (String::new(), 1.0),
        Value::Whole(other) => (other.to_string(), f64::NAN),
        other => return Err(other.instead_of("a number from 0 to 1")),
    };
    if (0.0..=1.0).contains(&number) { Ok(number) } else { Err(Problem::NotAShare { written }) }
}

/// A duration, zero included.
pub(crate) fn duration(value: &Value) -> Read<Duration> {
    let written = match value {
        Value::Text(written) => written.clone(),
        // The commonest slip: a number without its unit.
        Value::Whole(number) => number.to_string(),
        other => return Err(other.instead_of("a duration such as \"30s\"")),
    };
    let (number, unit) = number_and_unit(&written);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60 * 1_000,
        "h" => 60 * 60 * 1_000,
        "d" => 24 * 60 * 60 * 1_000,
        _ => return Err(Problem::NotADuration { written }),
    };
    if number.is_empty() {
        return Err(Problem::NotADuration { written });
    }
    // Digits alone fail to parse only by being too many.
    let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms));
    let duration = ms.map(Duration::from_millis).filter(|duration| *duration <= DURATION_MAX);
    duration.ok_or(Problem::DurationTooLong)
}

/// A duration for a clock, which must be able to run.
pub(crate) fn clock(value: &Value) -> Read<Duration> {
    match duration(value)? {
        Duration::ZERO => Err(Problem::ZeroDuration),
        duration => Ok(duration),
    }
}

/// A size in bytes, at least 1.
pub(crate) fn size(value: &Value) -> Read<u64> {
    let written = match value {
        Value::Text(written) => written,
        Value::Whole(_) => return whole(1, u64::MAX)(value),
        other => return Err(other.instead_of("a size such as 1048576 or \"1MiB\"")),
    };
    let (number, unit) = number_and_unit(written);
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err(Problem::NotASize { written: written.clone() }),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| Problem::NotASize { written: written.clone() })
}

pub(crate) fn listen_address(value: &Value) -> Read<SocketAddr> {
    parse_listen_address(string(value, "an address such as \"127.0.0.1:8000\"")?)
}

/// An address to listen on, from a file, a variable or a flag.
pub(crate) fn parse_listen_address(written: &str) -> Read<SocketAddr> {
    written.parse().map_err(|_| Problem::NotAListenAddress { written: written.to_owned() })
}

/// A network, or one address as a network of its own.
pub(crate) fn network(value: &Value) -> Read<IpNet> {
    let written = string(value, "a network such as \"10.0.0.0/8\"")?;
    let address = || written.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    written.parse().or_else(|_| address()).map_err(|_| Problem::NotANetwork { written: written.to_owned() })
}

/// What a browser sends as `Origin`: scheme, host and port; or `*` for all.
pub(crate) fn origin(value: &Value) -> Read<String> {
    let written = string(value, "an origin such as \"https://app.example.com\"")?;
    let is_origin = |uri: Uri| uri.scheme().is_some() && uri.path() == "/" && uri.query().is_none();
    if written == "*"
        || (!written.ends_with('/') && !written.contains('#') && written.parse().is_ok_and(is_origin))
    {
        return Ok(written.to_owned());
    }
    Err(Problem::NotAnOrigin { written: written.to_owned() })
}

/// An upstream's address, without a slash at its end. The problem never shows it, since some people write
/// their password or key into it.
pub(crate) fn base_url(value: &Value) -> Read<String> {
    let written = string(value, "an address such as \"https://api.example.com/v1\"")?;
    let usable = |uri: Uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri
                .authority()
                .is_some_and(|authority| !authority.as_str().contains('@') && !authority.host().is_empty())
            && uri.query().is_none()
    };
    if !written.contains('#') && written.parse().is_ok_and(usable) {
        return Ok(written.trim_end_matches('/').to_owned());
    }
    Err(Problem::NotABaseUrl)
}

/// What follows the `?` of every address of a provider.
pub(crate) fn query(value: &Value) -> Read<String> {
    let written = string(value, "a query such as \"api-version=2025-04-01-preview\"")?;
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"#?\"<>\\^`{|}".contains(&byte);
    if !written.is_empty() && written.bytes().all(fits) {
        return Ok(written.to_owned());
    }
    Err(Problem::NotAQuery)
}

/// The name of a header.
pub(crate) fn header_name(value: &Value) -> Read<HeaderName> {
    string(value, "the name of a header")?.parse().map_err(|_| Problem::NotAHeader)
}

/// A header with its value.
pub(crate) fn header(value: &Value) -> Read<(HeaderName, HeaderValue)> {
    let written = string(value, "a header as \"name: value\"")?;
    let parsed = written.split_once(':').and_then(|(name, value)| {
        Some((name.trim().parse().ok()?, HeaderValue::from_str(value.trim()).ok()?))
    });
    parsed.ok_or(Problem::NotAHeader)
}

/// A flag of the header `anthropic-beta`.
pub(crate) fn beta(value: &Value) -> Read<String> {
    let written = string(value, "a flag such as \"context-1m-2025-08-07\"")?;
    match beta::is_flag(written) {
        true => Ok(written.to_owned()),
        false => Err(Problem::NotABeta { written: written.to_owned() }),
    }
}

/// The name of an environment variable. A key written in its place is not shown.
pub(crate) fn variable_name(value: &Value) -> Read<String> {
    let written = string(value, "the name of an environment variable")?;
    let first_fits = written.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if first_fits && written.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok(written.to_owned());
    }
    Err(Problem::NotAVariableName)
}

/// Whether a text can name a provider or a key.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

pub(crate) fn name(value: &Value) -> Read<String> {
    let written = string(value, "a name")?;
    if is_name(written) {
        Ok(written.to_owned())
    } else {
        Err(Problem::NotAName { written: written.to_owned() })
    }
}

pub(crate) fn model_name(value: &Value) -> Read<String> {
    let written = string(value, "the name of a model")?;
    if is_model_name(written) {
        return Ok(written.to_owned());
    }
    Err(Problem::NotAModelName { written: written.to_owned() })
}

pub(crate) fn pattern(value: &Value) -> Read<Glob> {
    let written = string(value, "a pattern such as \"gpt-*\"")?;
    parse_pattern(written).ok_or_else(|| Problem::NotAPattern { written: written.to_owned() })
}

/// A pattern over model names: their characters and `*`.
pub(crate) fn parse_pattern(written: &str) -> Option<Glob> {
    // `*` may stand for nothing, but a name of `.` must not come out of it.
    let filled = written.replace('*', "x");
    (written.len() <= MODEL_NAME_MAX && is_model_name(&filled)).then(|| Glob::new(written))
}

/// One of several words.
pub(crate) fn one_of<T: Copy>(
    what: &'static str,
    words: &'static [(&'static str, T)],
) -> impl Fn(&Value) -> Read<T> {
    move |value| {
        let written = string(value, "a string")?;
        let found = words.iter().find(|(word, _)| *word == written);
        found.map(|(_, meant)| *meant).ok_or_else(|| Problem::UnknownWord {
            what,
            written: written.to_owned(),
            allowed: words.iter().map(|(word, _)| (*word).to_owned()).collect(),
        })
    }
}

/// A date without a time.
pub(crate) fn date(value: &Value) -> Read<Date> {
    const EXPECTED: &str = "a date such as 2026-08-16, without quotation marks";
    match value {
        Value::Date(written) => written.parse().map_err(|_| value.instead_of(EXPECTED)),
        other => Err(other.instead_of(EXPECTED)),
    }
}

/// A moment as RFC 3339 writes it, in milliseconds since 1970; what lies before counts as 1970.
pub(crate) fn moment(value: &Value) -> Read<u64> {
    let written = string(value, "a time such as \"2026-11-30T12:00:00Z\"")?;
    let not_a_time = |_| Problem::NotATime { written: written.to_owned() };
    let timestamp: jiff::Timestamp = written.parse().map_err(not_a_time)?;
    Ok(u64::try_from(timestamp.as_millisecond()).unwrap_or(0))
}

/// An amount of dollars as a decimal string, in pico-dollars. A JSON number is refused: it has passed through
/// binary fractions in whatever program wrote it.
pub(crate) fn dollars(value: &Value) -> Read<u64> {
    let written = string(value, "an amount as a string such as \"5.00\"")?;
    let pico = scaled(written, DOLLAR_DECIMALS, DOLLARS_MAX);
    pico.ok_or_else(|| Problem::NotDollars { written: written.to_owned() })
}

/// A price in dollars per million tokens, as pico-dollars per token. A number with a fraction is taken as the
/// shortest decimal that stands for its bits, so that 0.1 is a tenth exactly.
pub(crate) fn price(value: &Value) -> Read<u64> {
    let (written, decimal) = match value {
        Value::Whole(number) => (number.to_string(), number.to_string()),
        Value::Decimal(written) => {
            let shortest = written.parse().map_or_else(|_| written.clone(), |number: f64| number.to_string());
            (written.clone(), shortest)
        }
        Value::Text(written) => (written.clone(), written.clone()),
        other => return Err(other.instead_of("a price such as 0.15 or \"0.15\"")),
    };
    scaled(&decimal, PRICE_DECIMALS, PRICE_MAX).ok_or(Problem::NotAPrice { written })
}

/// A decimal number as a whole one in units of 10^-`decimals`; `None` for a text that is none, for what is smaller
/// than a unit, and above `most`.
fn scaled(written: &str, decimals: usize, most: u64) -> Option<u64> {
    let (whole, fraction) = written.split_once('.').unwrap_or((written, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > decimals {
        return None;
    }
    // All digits in a row; too many of them do not fit, and then the number is above any `most`.
    let units: u64 = format!("{whole}{fraction:0<decimals$}").parse().ok()?;
    let one = 10_u64.checked_pow(u32::try_from(decimals).ok()?)?;
    Some(units).filter(|units| *units <= most.saturating_mul(one))
}

/// Whether a text can be a key or token: visible ASCII, since it travels in a header.
pub(crate) fn can_be_secret(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn string<'v>(value: &'v Value, expected: &'static str) -> Read<&'v str> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(other.instead_of(expected)),
    }
}

/// Splits behind the digits at the front.
fn number_and_unit(written: &str) -> (&str, &str) {
    let digits = written.bytes().take_while(u8::is_ascii_digit).count();
    written.split_at(digits)
}
