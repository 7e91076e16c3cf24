# What is done often. `just` lists it; each line can be typed without just as well.

_list:
    @just --list --unsorted

# Everything that a change has to pass, as it is checked on every change.
check:
    bash .ci/run

# The tests, of everything or of those that the arguments name.
test *arguments:
    cargo test --workspace --locked {{ arguments }}

# The official SDKs against the release build: all suites, or `python` or `node`.
sdk *suites:
    cargo build --release --locked -p dsp-ai-gateway -p gateway-testkit
    python3 tests/sdk/run.py {{ suites }}

# What a request costs, beside nginx; or `first-token`, `isolation`, `soak`. Flags are in benches/load/README.md.
bench *flags:
    cargo run --release --locked -p gateway-load -- {{ flags }}

# How soon a start answers, and how much memory it then holds.
bench-start *flags:
    cargo bench --locked --bench start -- {{ flags }}

# The archive of a release, built twice and compared; docs/releasing.md.
release *flags:
    scripts/release.sh {{ flags }}

# Fuzzes a parser (a name of fuzz/bodies) for so many seconds. Needs cargo-fuzz and a nightly toolchain.
fuzz target seconds="60":
    cargo +nightly fuzz run {{ target }} -- -max_total_time={{ seconds }}
