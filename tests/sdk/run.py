#!/usr/bin/env python3
"""The official SDKs against the release build of the gateway, with nothing changed but base URL and key; and its console.

    cargo build --release -p dsp-ai-gateway -p gateway-testkit
    python3 tests/sdk/run.py [--all-or-fail] [python|node|comply|sources|console ...]

`python` and `node` are our own tests of the SDKs, `comply` runs llm-comply against the fake upstream and through
the gateway, and `sources` runs the SDKs' own API tests. `console` opens the operators' page in Chromium, headless; it
is left out, with a word, where no Chromium is installed, unless it is named or `--all-or-fail` is given.

Installs the pinned SDKs below the target folder, starts a fake upstream and the gateway on free ports of
loopback, runs the suites one after the other, and ends both. The exit code is 0 when every suite passed and
the gateway then stopped in order at once: a request that an SDK has left must not hold it up.

Bounded: every wait here has an end, and the fake upstream ends by itself.
"""

import argparse
import contextlib
import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or HERE.parents[1] / "target").resolve()

# Seconds. A suite takes about 10, the browser's 30 and more on a busy machine; an installation waits for a registry.
INSTALL_MAX = 600
START_MAX = 20
SUITE_MAX = 300
STOP_MAX = 10

# What a suite's clients are called, and what is special about them. A client `SUITE-ROLE` has the API key
# `key-SUITE-ROLE` and the secret `secret-SUITE-ROLE`.
ROLES = {
    "everything": {},
    "openai-only": {"allowed_providers": ["openai"]},
    "models-only": {"allowed_endpoints": ["models"]},
    "mini-only": {"allowed_models": ["gpt-*-mini"]},
    "capped": {"max_tokens_limit": 2000},
    "metered": {"rate_limit": {"requests_per_minute": 600, "tokens_per_day": 5_000_000}},
    "one-a-minute": {"rate_limit": {"requests_per_minute": 1}},
    "one-at-once": {"rate_limit": {"concurrent_requests": 1}},
    "switched-off": {"disabled": True},
    "one-message-a-minute": {"rate_limit": {"requests_per_minute": 1}},
    "without-tokens": {"rate_limit": {"tokens_per_day": 0}},
}

# The keys that the SDKs' own tests have; they are the suite's `everything` as well.
KEYS_OF_SOURCES = ["My API Key", "my-anthropic-api-key"]


class Failed(Exception):
    """Says what went wrong, for a person."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the official SDKs against the release build of the gateway.")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="python, node, comply, sources, console; default: all")
    parser.add_argument("--all-or-fail", action="store_true", help="leave no suite out for want of a browser")
    arguments = parser.parse_args()
    chosen = arguments.suites or list(SUITES)
    if not (arguments.suites or arguments.all_or_fail or chromium()):
        print("sdk: console is left out: no Chromium on the PATH (Debian's package `chromium`)", file=sys.stderr)
        chosen.remove("console")
    if unknown := [name for name in chosen if name not in SUITES]:
        parser.error(f"no such suite: {', '.join(unknown)}; there are {', '.join(SUITES)}")
    # So that an end from outside runs the clean-up as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        commands = {name: SUITES[name]() for name in chosen}
        with running_gateway() as (urls, log):
            failed = [name for name, (command, folder) in commands.items() if not run_suite(name, command, folder, urls)]
            if failed:
                tail = log.read_text(errors="replace").splitlines()[-40:]
                print("the gateway's log ends with:", *tail, sep="\n  ", file=sys.stderr)
                raise Failed(f"failed: {', '.join(failed)}")
    except Failed as failure:
        print(f"sdk: {failure}", file=sys.stderr)
        return 1
    print(f"sdk: passed: {', '.join(chosen)}")
    return 0


def virtual_environment(suite: str, more=None) -> Path:
    """The Python of a virtual environment with what the suite's requirements.txt names, and with what `more` adds."""
    requirements = HERE / suite / "requirements.txt"
    venv = TARGET / "sdk" / suite
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def install() -> None:
        checked([sys.executable, "-m", "venv", "--clear", venv])
        checked([python, "-m", "pip", "install", "--quiet", "--requirement", requirements])
        if more:
            more(python, venv)

    once(venv, [requirements.read_bytes(), sys.version.encode()], install)
    return python


def install_python() -> tuple[list, Path]:
    """The suite's command and folder."""
    return [virtual_environment("python"), "-m", "pytest", "-p", "no:cacheprovider"], HERE / "python"


def install_comply() -> tuple[list, Path]:
    return [virtual_environment("comply"), "compare.py"], HERE / "comply"


def install_sources() -> tuple[list, Path]:
    """The SDKs' source distributions, which have their tests, beside the SDKs themselves."""
    pinned = (HERE / "sources" / "requirements.txt").read_text().split()
    sdks = [line for line in pinned if line.startswith(("openai==", "anthropic=="))]

    def fetch(python: Path, venv: Path) -> None:
        archives = venv / "archives"
        command = [python, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", archives]
        checked([*command, *sdks])
        # Older releases of Python have no filter.
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        for archive in archives.glob("*.tar.gz"):
            shutil.unpack_archive(archive, venv / "sources", **safely)

    python = virtual_environment("sources", fetch)
    folders = [TARGET / "sdk" / "sources" / "sources" / line.replace("==", "-") for line in sdks]
    return [python, "own_tests.py", *folders], HERE / "sources"


def install_node() -> tuple[list, Path]:
    return node_suite("node", 60)


def install_console() -> tuple[list, Path]:
    if not chromium():
        raise Failed("chromium is needed on the PATH (Debian's package `chromium`)")
    return node_suite("console", SUITE_MAX)


def chromium() -> str | None:
    """The browser that is installed here."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def node_suite(suite: str, seconds: int) -> tuple[list, Path]:
    """A copy of the suite beside its packages, which Node.js looks for next to the file that imports them."""
    folder = TARGET / "sdk" / suite
    locked = [HERE / suite / name for name in ("package.json", "package-lock.json", ".npmrc")]
    npm = shutil.which("npm")
    node = shutil.which("node")
    if not (npm and node):
        raise Failed("node and npm are needed on the PATH")

    def install() -> None:
        for file in locked:
            shutil.copy(file, folder)
        checked([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)

    folder.mkdir(parents=True, exist_ok=True)
    once(folder, [file.read_bytes() for file in locked], install)
    suites = [shutil.copy(file, folder) for file in sorted((HERE / suite).glob("*.mjs"))]
    tests = [file for file in suites if str(file).endswith(".test.mjs")]
    # Per test, and per file, in milliseconds.
    return [node, "--test", f"--test-timeout={seconds * 1000}", "--test-reporter=spec", *tests], folder


SUITES = {
    "python": install_python,
    "node": install_node,
    "comply": install_comply,
    "sources": install_sources,
    "console": install_console,
}


def once(folder: Path, inputs: list, install) -> None:
    """Installs unless the folder was made from these inputs already."""
    stamp = folder / ".installed"
    made_from = hashlib.sha256(b"\0".join(inputs)).hexdigest()
    if stamp.exists() and stamp.read_text() == made_from:
        return
    print(f"sdk: installing into {folder}", flush=True)
    stamp.unlink(missing_ok=True)
    install()
    stamp.write_text(made_from)


def checked(command: list, **options) -> None:
    try:
        subprocess.run(command, check=True, timeout=INSTALL_MAX, stdin=subprocess.DEVNULL, **options)
    except (OSError, subprocess.SubprocessError) as error:
        raise Failed(f"the installation failed: {error}") from None


def run_suite(name: str, command: list, folder: Path, urls: dict) -> bool:
    print(f"sdk: {name}", flush=True)
    environment = {name: value for name, value in os.environ.items() if not speaks_to_an_sdk(name)}
    environment |= urls | {"CLIENT_PREFIX": name, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, timeout=SUITE_MAX, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        print(f"sdk: {name} took longer than {SUITE_MAX} s", file=sys.stderr)
        return False
    return done.returncode == 0


def speaks_to_an_sdk(variable: str) -> bool:
    """Whether an SDK would read it: its own settings, and proxies."""
    prefixes = ("OPENAI_", "GROQ_", "ANTHROPIC_", "GEMINI_", "GOOGLE_", "AI_")
    return variable.startswith(prefixes) or variable.lower().endswith("_proxy")


@contextlib.contextmanager
def running_gateway():
    """The addresses that a suite needs and the gateway's log, between a start of everything and its end."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-sdk-")))
        log = folder / "gateway.log"
        lifetime = str(len(SUITES) * SUITE_MAX + 60)
        upstream = start(stack, "fake-upstream", ["--port", "0", "--seconds", lifetime], folder)
        upstream_url = address(upstream, log)
        write_configuration(folder, upstream_url)
        arguments = ["--config", "gateway.toml", "--data", "data", "--listen", "127.0.0.1:0", "--log", "info"]
        keys = {"UPSTREAM_KEY": "sk-upstream", "UPSTREAM_KEY_REFUSED": "sk-invalid-upstream"}
        gateway = start(stack, "dsp-ai-gateway", arguments, folder, environment=keys, log=log)
        urls = {"GATEWAY_URL": address(gateway, log), "UPSTREAM_URL": upstream_url}
        # The console's: made by the gateway at its start.
        urls["ADMIN_TOKEN_FILE"] = str(folder / "data" / "admin-token")
        yield urls | {"CHROMIUM": chromium() or ""}, log
        stops_in_order(gateway)


def start(stack, program: str, arguments: list, folder: Path, environment=None, log: Path | None = None):
    """Starts a program of the release build, with an environment of its own; it is ended with the stack."""
    binary = TARGET / "release" / (program + (".exe" if os.name == "nt" else ""))
    if not binary.exists():
        build = "cargo build --release -p dsp-ai-gateway -p gateway-testkit"
        raise Failed(f"{binary} is missing; build it with `{build}`")
    inherited = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    stderr = stack.enter_context(log.open("wb")) if log else None
    process = subprocess.Popen(
        [binary, *arguments],
        cwd=folder,
        env=inherited | (environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        bufsize=0,
    )
    stack.callback(end, process)
    return process


def end(process) -> None:
    """Ends a process that may have ended already."""
    process.kill()
    process.wait(STOP_MAX)
    process.stdout.close()


def stops_in_order(gateway) -> None:
    began = time.monotonic()
    gateway.terminate()
    try:
        code = gateway.wait(STOP_MAX)
    except subprocess.TimeoutExpired:
        raise Failed(f"the gateway still runs {STOP_MAX} s after SIGTERM: something is in flight") from None
    if code != 0:
        raise Failed(f"the gateway ended with exit code {code}")
    print(f"sdk: the gateway stopped in {time.monotonic() - began:.1f} s")


def address(process, log: Path) -> str:
    """The URL of the line `listening on URL`."""
    # A pipe is no socket, so on Windows the wait for the first line has no end of its own.
    if os.name != "nt" and not select.select([process.stdout], [], [], START_MAX)[0]:
        raise Failed(f"{process.args[0]} did not listen within {START_MAX} s")
    line = process.stdout.readline().decode()
    if not line.startswith("listening on "):
        said = log.read_text(errors="replace") if log.exists() else ""
        raise Failed(f"{process.args[0]} did not listen; it said: {line}{said}")
    return line.removeprefix("listening on ").strip()


def write_configuration(folder: Path, upstream_url: str) -> None:
    template = (HERE / "gateway.toml").read_text()
    (folder / "gateway.toml").write_text(template.replace("UPSTREAM/", f"{upstream_url}/"))
    clients = folder / "clients"
    clients.mkdir()
    for suite in SUITES:
        for role, members in ROLES.items():
            client = client_file(f"{suite}-{role}") | members
            if (suite, role) == ("sources", "everything"):
                client["credentials"] += [{"type": "api_key", "hash": sha256(key)} for key in KEYS_OF_SOURCES]
            (clients / f"{suite}-{role}.json").write_text(json.dumps(client, indent=2))


def sha256(secret: str) -> str:
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()


def client_file(client_id: str) -> dict:
    return {
        "client_id": client_id,
        "name": client_id,
        "allowed_providers": ["*"],
        "allowed_endpoints": ["*"],
        "default_provider": "openai",
        "credentials": [
            {"type": "api_key", "hash": sha256(f"key-{client_id}")},
            {"type": "secret", "hash": sha256(f"secret-{client_id}")},
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
