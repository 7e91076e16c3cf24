# Builds the gateway if need be and runs it in this folder. What follows the name goes on to the gateway:
#   .\run_api.ps1 --listen 127.0.0.1:9000
$code = 1
Push-Location $PSScriptRoot
try {
    if (Get-Command cargo -ErrorAction SilentlyContinue) {
        cargo run --release --locked -- @args
        $code = $LASTEXITCODE
    } else {
        [Console]::Error.WriteLine('cargo was not found: install Rust from https://rustup.rs and open a new window')
    }
} finally {
    Pop-Location
}
exit $code
