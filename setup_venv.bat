@echo off
rem Fetches what the gateway needs and builds it, so that the first start does not wait for that. Nothing asks for this
rem step: run_api does the same. What follows the name goes on to cargo build.
setlocal
pushd "%~dp0"
cargo build --release --locked %*
set code=%errorlevel%
popd
if %code% equ 9009 echo cargo was not found: install Rust from https://rustup.rs and open a new window 1>&2
exit /b %code%
