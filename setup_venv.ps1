# Fetches what the gateway needs and builds it, so that the first start does not wait for that. Nothing asks for this
# step: run_api does the same. What follows the name goes on to cargo build.
$code = 1
Push-Location $PSScriptRoot
try {
    if (Get-Command cargo -ErrorAction SilentlyContinue) {
        cargo build --release --locked @args
        $code = $LASTEXITCODE
    } else {
        [Console]::Error.WriteLine('cargo was not found: install Rust from https://rustup.rs and open a new window')
    }
} finally {
    Pop-Location
}
exit $code
