"""The API tests in the source distributions of OpenAI's and Anthropic's Python SDKs, against the gateway.

    own_tests.py FOLDER ...

They were made for a server that answers whatever is well-formed. What the gateway refuses on purpose is left out
here by name, with the reason.
"""

import os
import subprocess
import sys
from pathlib import Path

GATEWAY = os.environ["GATEWAY_URL"]

# The start of the folder's name, what follows the gateway's address, pytest's options, and what is run.
SDKS = {
    "openai": (
        "/v1",
        [],
        [
            "tests/api_resources/chat/test_completions.py",
            "tests/api_resources/test_responses.py",
            "tests/api_resources/test_embeddings.py",
            "tests/api_resources/test_models.py",
        ],
    ),
    "anthropic": ("", ["-p", "tests._alias_httpx"], ["tests/api_resources/test_messages.py"]),
}

SELECTED = {"openai": "create or embeddings or models", "anthropic": "messages"}


def run(folder: Path) -> bool:
    name = folder.name.split("-")[0]
    suffix, options, files = SDKS[name]
    environment = os.environ | {"TEST_API_BASE_URL": GATEWAY + suffix}
    # Their own options ask for plugins that are of no use here.
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "--quiet", "--tb=short"]
    command += ["--timeout=20", "-k", SELECTED[name], *options, *files]
    return subprocess.run(command, cwd=folder, env=environment, timeout=100).returncode == 0


if __name__ == "__main__":
    outcomes = [run(Path(folder)) for folder in sys.argv[1:]]
    sys.exit(0 if all(outcomes) else 1)
