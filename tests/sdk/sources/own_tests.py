"""The API tests in the source distributions of OpenAI's and Anthropic's Python SDKs, against the gateway.

    own_tests.py FOLDER ...

They were made for a server that answers whatever is well-formed; `usable.py` repairs the requests that no other
server takes. What is not run is named here, with the reason; all else must pass.
"""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
GATEWAY = os.environ["GATEWAY_URL"]
TESTS = "tests/api_resources"

# By the start of the folder's name: what follows the gateway's address, pytest's options, and what is run of each
# file. In strict mode the SDK asks for embeddings in base64 and refuses them before it decodes them, unless a test
# names a form. Deleting a model of one's own is none of the gateway's routes.
SDKS = {
    "openai": (
        "/v1",
        ["-p", "usable"],
        {
            "chat/test_completions.py": "create",
            "test_responses.py": "create",
            "test_embeddings.py": "loose or all_params",
            "test_models.py": "not delete",
        },
    ),
    "anthropic": ("", ["-p", "tests._alias_httpx"], {"test_messages.py": ""}),
}


def run(folder: Path) -> bool:
    suffix, options, files = SDKS[folder.name.split("-")[0]]
    environment = os.environ | {"TEST_API_BASE_URL": GATEWAY + suffix, "PYTHONPATH": f"{folder}{os.pathsep}{HERE}"}
    # Their own options ask for plugins that are of no use here.
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "--quiet", "--tb=short"]
    command += ["--timeout=20", *options]
    passed = True
    for file, chosen in files.items():
        print(f"{folder.name}: {file}", flush=True)
        done = subprocess.run([*command, "-k", chosen, f"{TESTS}/{file}"], cwd=folder, env=environment, timeout=60)
        passed = passed and done.returncode == 0
    return passed


if __name__ == "__main__":
    # All of them, also when one fails.
    outcomes = [run(Path(folder)) for folder in sys.argv[1:]]
    sys.exit(0 if all(outcomes) else 1)
