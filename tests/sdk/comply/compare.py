"""llm-comply on each of its formats: against the fake upstream directly, and through the gateway to each provider.

Prints the tables of docs/conformance.md. Ends with 1 when a test that passes directly fails through the gateway.
"""

import json
import os
import subprocess
import sys

GATEWAY = os.environ["GATEWAY_URL"]
UPSTREAM = os.environ["UPSTREAM_URL"]
KEY = f"key-{os.environ['CLIENT_PREFIX']}-everything"

ANTHROPIC = ["--auth-header", "x-api-key", "--no-bearer", "-H", "anthropic-version:2023-06-01"]
GOOGLE = ["--auth-header", "x-goog-api-key", "--no-bearer"]

# Format, what follows the address, flags, model, and the providers that serve it through the gateway: the first
# speaks the format itself. `plain` has OpenAI's chat API alone.
FORMATS = [
    ("openai-chat", "/v1", [], "gpt-5.4-nano", ["openai", "anthropic", "gemini"]),
    ("open-responses", "/v1", [], "gpt-5.4-nano", ["openai", "plain", "anthropic", "gemini"]),
    ("anthropic", "/v1", ANTHROPIC, "claude-sonnet-4-5", ["anthropic", "openai", "gemini"]),
    ("google-genai", "", GOOGLE, "gemini-2.5-flash", ["gemini", "openai", "anthropic"]),
    ("google-interactions", "", GOOGLE, "gemini-2.5-flash", ["gemini"]),
]


def results(form: str, flags: list, address: str, model: str) -> dict:
    """The result of each of the format's tests, by its id."""
    command = [sys.executable, "-m", "llm_comply.cli", "--format", form, "-u", address, "-m", model, "--json", *flags]
    environment = os.environ | {"OPENRESPONSES_API_KEY": KEY}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    try:
        return {result["id"]: result for result in json.loads(done.stdout)["results"]}
    except ValueError:
        sys.exit(f"llm-comply on {form} at {address} said: {done.stdout}{done.stderr}")


def cell(result: dict) -> str:
    if result["status"] == "passed" and result.get("warnings"):
        return "passed, warned"
    return result["status"]


def main() -> int:
    worse = []
    for form, suffix, flags, model, providers in FORMATS:
        columns = {"directly": results(form, flags, UPSTREAM + suffix, model)}
        for provider in providers:
            served = model if provider == providers[0] else f"{model}@{provider}"
            columns[f"through, on {provider}"] = results(form, flags, GATEWAY + suffix, served)
        print(f"\n| {form} | {' | '.join(columns)} |")
        print(f"| --- {'| --- ' * len(columns)}|")
        directly = columns["directly"]
        for test in directly:
            print(f"| {test} | {' | '.join(cell(column[test]) for column in columns.values())} |")
        for name, column in columns.items():
            for test, result in column.items():
                said = result.get("errors", []) + result.get("warnings", [])
                if result["status"] == "failed" and directly[test]["status"] != "failed":
                    worse.append(f"{form} {name}: {test}: {'; '.join(said)}")
                elif said and cell(result) != cell(directly[test]) or (said and name == "directly"):
                    print(f"  {form} {name}: {test}: {'; '.join(said)}", file=sys.stderr)
    for line in worse:
        print(f"fails through the gateway alone: {line}", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
