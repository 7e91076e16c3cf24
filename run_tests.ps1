# Runs all tests. What follows the name goes on to cargo test:
#   .\run_tests.ps1 --test it
$code = 1
Push-Location $PSScriptRoot
try {
    if (Get-Command cargo -ErrorAction SilentlyContinue) {
        cargo test --workspace --locked @args
        $code = $LASTEXITCODE
    } else {
        [Console]::Error.WriteLine('cargo was not found: install Rust from https://rustup.rs and open a new window')
    }
} finally {
    Pop-Location
}
exit $code
