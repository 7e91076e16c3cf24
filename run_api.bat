@echo off
rem Builds the gateway if need be and runs it in this folder. What follows the name goes on to the gateway:
rem   run_api.bat --listen 127.0.0.1:9000
setlocal
pushd "%~dp0"
cargo run --release --locked -- %*
set code=%errorlevel%
popd
if %code% equ 9009 echo cargo was not found: install Rust from https://rustup.rs and open a new window 1>&2
exit /b %code%
