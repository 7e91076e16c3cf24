#!/usr/bin/env bash
# Builds the release of what is committed, twice, in two folders, and keeps it only if both have the same bytes.
#
#   scripts/release.sh [--target TRIPLE] [--once]
#
# TRIPLE is the machine's own unless it is named; x86_64-unknown-linux-musl makes a program that needs no library.
# --once builds once and compares nothing: to compare with the checksums of somebody else's build.
#
# Leaves in dist/: the archive, its SHA-256 and the SBOM. Needs Rust, a C compiler, git, python3 and GNU tar; the
# program is run for its completions and manual page, so the target must be one that this machine can run.
# docs/releasing.md says what the bytes depend on.
set -euo pipefail
cd "$(dirname "$0")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
target=$host
builds=(first the-second)
while [[ $# -gt 0 ]]; do
  case $1 in
    --target) target=${2:?--target needs a triple} && shift 2 ;;
    --once) builds=(only) && shift ;;
    *) echo "release.sh: unknown argument $1" >&2 && exit 2 ;;
  esac
done

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
name="dsp-ai-gateway-$version-$target"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC CARGO_INCREMENTAL=0 CARGO_PROFILE_RELEASE_STRIP=symbols
# Flags of the machine would be in the bytes.
unset RUSTFLAGS CFLAGS CARGO_TARGET_DIR CARGO_BUILD_TARGET
cargo_home=${CARGO_HOME:-$HOME/.cargo}
sysroot=$(rustc --print sysroot)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Builds what is committed in a folder of its own, and packs it there.
build() {
  local folder=$1/$name-sources out=$1/$name separator=$'\x1f'
  mkdir -p "$folder" "$out/completions" "$out/man"
  git archive HEAD | tar -x -C "$folder"
  # Paths of this machine become those of no machine, in what Rust and what C compilers write.
  local rust=("--remap-path-prefix=$folder=/source" "--remap-path-prefix=$cargo_home=/cargo" "--remap-path-prefix=$sysroot=/rust")
  (
    IFS=$separator
    cd "$folder"
    CARGO_ENCODED_RUSTFLAGS="${rust[*]}" \
    CFLAGS="-ffile-prefix-map=$folder=/source -ffile-prefix-map=$cargo_home=/cargo" \
      cargo build --release --locked --target "$target" -p dsp-ai-gateway
  )
  local program=$out/dsp-ai-gateway
  cp "$folder/target/$target/release/dsp-ai-gateway" "$program"
  (
    # With nothing of this machine's configuration.
    cd "$out"
    local shell
    for shell in bash zsh fish powershell elvish; do
      "$program" completions "$shell" >"completions/dsp-ai-gateway.$shell"
    done
    "$program" man >man/dsp-ai-gateway.1
  )
  cp -R "$folder"/{LICENSE,README.md,CHANGELOG.md,.env.example,configs,packaging,docs} "$out/"
  (cd "$folder" && python3 scripts/sbom.py) >"$out/sbom.cdx.json"
  chmod -R u=rwX,go=rX "$out"
  tar --sort=name --format=gnu --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    -C "$1" -c "$name" | gzip -n -9 >"$1/$name.tar.gz"
}

for each in "${builds[@]}"; do
  mkdir "$work/$each"
  build "$work/$each"
  sha256sum "$work/$each/$name/dsp-ai-gateway" "$work/$each/$name.tar.gz" | sed "s|$work/||"
  rm -rf "$work/$each/$name-sources"
done

first=${builds[0]} last=${builds[-1]}
if ! cmp "$work/$first/$name.tar.gz" "$work/$last/$name.tar.gz"; then
  diff -rq "$work/$first/$name" "$work/$last/$name" >&2 || true
  echo "release.sh: the builds differ, so nothing is kept" >&2
  exit 1
fi

mkdir -p dist
cp "$work/$first/$name.tar.gz" dist/
cp "$work/$first/$name/sbom.cdx.json" "dist/$name.cdx.json"
(cd dist && sha256sum "$name.tar.gz" "$name.cdx.json" >"$name.sha256")
if [[ ${#builds[@]} -gt 1 ]]; then
  echo "release.sh: both builds have the same bytes; see dist/$name.sha256"
else
  echo "release.sh: built once; see dist/$name.sha256"
fi
