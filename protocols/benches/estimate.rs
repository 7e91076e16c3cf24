//! How fast the prompt's bound is counted, by kind of text, in MB of UTF-8 per second.
//!
//! `cargo bench -p gateway-protocols --bench estimate`
//!
//! The best of several rounds is told: what else the machine does only makes a round slower.

#![expect(clippy::print_stdout, reason = "a benchmark speaks to whoever runs it")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use gateway_protocols::estimate::{prompt_tokens, text_tokens};

const ROUNDS: usize = 15;

/// The size of each text: far more than any cache line, far less than the largest body.
const BYTES: usize = 1 << 20;

fn main() {
    let samples = [
        ("English", "The quick brown fox jumps over the lazy dog, and nobody in the village wondered why. "),
        ("code", "for (index, value) in values.iter().enumerate() {\n    total += value.len() * index;\n}\n"),
        ("JSON", r#"{"id": 184467, "name": "sensor-7", "values": [0.25, 1e-3, -17], "ok": true}, "#),
        ("digits", "31415926535897932384626433832795028841971693993751058209749445923 "),
        ("base64", "QmFzZTY0IGVuY29kZXMgdGhyZWUgYnl0ZXMgaW4gZm91ciBjaGFyYWN0ZXJzLg0K"),
        ("Chinese", "这家餐厅的服务很好，我们下次还会再来。"),
        ("Arabic", "ذهبت إلى السوق لأشتري الخبز والحليب. "),
        ("emoji", "🙂🚀👩‍👩‍👧‍👦🏳️‍🌈✨"),
    ];
    println!("{:<10} {:>12} {:>22}", "text", "as text", "as a prompt's JSON");
    for (name, sample) in samples {
        let text = sample.repeat(BYTES / sample.len() + 1);
        let json = format!("[{{\"role\":\"user\",\"content\":{}}}]", quoted(&text));
        let as_text = best(|| text_tokens(black_box(&text)));
        let as_prompt = best(|| prompt_tokens(black_box(json.as_bytes())));
        println!("{name:<10} {:>7.0} MB/s {:>17.0} MB/s", speed(&text, as_text), speed(&json, as_prompt));
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

fn best(count: impl Fn() -> u64) -> Duration {
    let round = |_| {
        let start = Instant::now();
        black_box(count());
        start.elapsed()
    };
    (0..ROUNDS).map(round).min().unwrap_or_default()
}

fn speed(text: &str, took: Duration) -> f64 {
    text.len() as f64 / took.as_secs_f64() / 1e6
}
