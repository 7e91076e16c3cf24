# shellcheck shell=bash
# Sourced by .ci/run: what the checks need of the system beside Rust.

# Debian packages that are not there, by what is looked for. Tools from other sources count.
missing_packages() {
  command -v cc >/dev/null || echo gcc libc6-dev
  command -v python3 >/dev/null || echo python3
  # Debian's Python comes without the means to make a virtual environment.
  python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
  command -v node >/dev/null || echo nodejs
  command -v npm >/dev/null || echo npm
  # For the operators' page; by any name that tests/sdk/run.py knows.
  command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
    || echo chromium
}

install_what_is_missing() {
  if ! command -v cargo >/dev/null; then
    echo 'ci: cargo is not on the PATH; install Rust (see rust-version in Cargo.toml)' >&2
    return 1
  fi
  local packages
  mapfile -t packages < <(missing_packages | tr ' ' '\n')
  if [[ ${#packages[@]} -eq 0 ]]; then
    echo 'nothing is missing'
    return
  fi
  if ! command -v apt-get >/dev/null; then
    echo "ci: missing, by their names in Debian: ${packages[*]}" >&2
    return 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update --quiet
  apt-get install --quiet --yes --no-install-recommends "${packages[@]}"
}
