@echo off
rem Runs all tests. What follows the name goes on to cargo test:
rem   run_tests.bat --test it
setlocal
pushd "%~dp0"
cargo test --workspace --locked %*
set code=%errorlevel%
popd
if %code% equ 9009 echo cargo was not found: install Rust from https://rustup.rs and open a new window 1>&2
exit /b %code%
