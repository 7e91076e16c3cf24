//! Numbers as pydantic's lax mode takes them: written as numbers, or inside strings.
//!
//! Owns     which spellings are a float or an integer.
//! Called   by the checks of [`super::GenerateRequest`].
//! Bounded  by the value.
//! Fails    with the fault that pydantic gives for the same value.

use crate::json::{Kind, Value};

use super::FaultKind;

/// The value as a float. Infinity and NaN come back as such, for the range check to refuse: JSON
/// has no word for them, but `1e999` and the string `"inf"` mean them.
pub(super) fn float(value: &Value<'_>) -> Result<f64, FaultKind> {
    match value.kind {
        Kind::Number => value.raw.parse().map_err(|_| FaultKind::NotAFloat),
        Kind::String => {
            let text = value.as_text().unwrap_or_default();
            text.trim().parse().map_err(|_| FaultKind::FloatParsing)
        }
        Kind::Null | Kind::Bool | Kind::Array | Kind::Object => Err(FaultKind::NotAFloat),
    }
}

/// The value as a count: zero stands for everything below one, the largest count for everything
/// beyond 64 bits.
pub(super) fn integer(value: &Value<'_>) -> Result<u64, FaultKind> {
    match value.kind {
        Kind::Number => match digits(value.raw) {
            Some(count) => Ok(count),
            None => integral(value.raw.parse().map_err(|_| FaultKind::NotAnInteger)?),
        },
        Kind::String => {
            let text = value.as_text().unwrap_or_default();
            let text = text.trim();
            // "5.0" is five, but "5." and "5e0" are not numbers of this kind.
            let whole = match text.split_once('.') {
                Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => whole,
                Some(_) => return Err(FaultKind::IntegerParsing),
                None => text,
            };
            digits(whole).ok_or(FaultKind::IntegerParsing)
        }
        Kind::Null | Kind::Bool | Kind::Array | Kind::Object => Err(FaultKind::NotAnInteger),
    }
}

/// Decimal digits, with a sign before them or not. A plus comes in strings only: JSON's numbers
/// have none.
fn digits(text: &str) -> Option<u64> {
    let magnitude = text.strip_prefix(['-', '+']).unwrap_or(text);
    if magnitude.is_empty() || !magnitude.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match text.starts_with('-') {
        true => Some(0),
        // Digits alone: they can only be too many.
        false => Some(magnitude.parse().unwrap_or(u64::MAX)),
    }
}

/// A number written with a fraction or an exponent.
fn integral(number: f64) -> Result<u64, FaultKind> {
    // 2^63: pydantic's bound for an integer that was written as a float.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if number.is_infinite() {
        Err(FaultKind::NotFinite)
    } else if number.fract() != 0.0 {
        Err(FaultKind::IntegerFromFraction)
    } else if number.abs() >= BEYOND {
        Err(FaultKind::IntegerSize)
    } else {
        // The cast takes what is below zero to zero.
        Ok(number as u64)
    }
}
