#!/usr/bin/env python3
"""Writes the software bill of materials, as CycloneDX 1.5 in JSON, to standard output.

    python3 scripts/sbom.py > sbom.cdx.json

It names every crate that Cargo.lock locks, with its checksum, licence and dependencies. `scope` tells what is in
the program: `required` is what it is built of on any of the systems, `excluded` what only its tests, benchmarks and
examples use. The same Cargo.lock gives the same bytes: the serial number is made of what is in it, and there is a
time only when SOURCE_DATE_EPOCH says one. Needs Python 3.11 and cargo, which must have, or fetch, the crates.
"""

import datetime
import json
import os
import pathlib
import subprocess
import sys
import tomllib
import uuid

PROGRAM = "dsp-ai-gateway"
ROOT = pathlib.Path(__file__).resolve().parent.parent


def metadata():
    """What cargo knows of all crates on all systems."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--quiet"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def checksums():
    """SHA-256 of each crate's archive, by name and version; none for the project's own."""
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    return {(crate["name"], crate["version"]): crate.get("checksum") for crate in lock["package"]}


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def shipped(program, nodes):
    """Ids of the crates that the program is built of: all that it reaches without dependencies of tests."""
    reached, waiting = set(), [program]
    while waiting:
        node = waiting.pop()
        if node not in reached:
            reached.add(node)
            waiting += [each["pkg"] for each in nodes[node]["deps"] if not is_for_tests(each)]
    return reached


def is_for_tests(dependency):
    return all(kind["kind"] == "dev" for kind in dependency["dep_kinds"])


def component(package, kind, is_shipped, checksum):
    described = {
        "type": kind,
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "scope": "required" if is_shipped else "excluded",
        "purl": purl(package),
    }
    if package["license"]:
        # Before SPDX expressions, `/` meant that either holds.
        either = (part.strip() for part in package["license"].split("/"))
        described["licenses"] = [{"expression": " OR ".join(either)}]
    if checksum:
        described["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["repository"]:
        described["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return described


def bill():
    known = metadata()
    packages = {package["id"]: package for package in known["packages"]}
    nodes = {node["id"]: node for node in known["resolve"]["nodes"]}
    program = next(id for id, package in packages.items() if package["name"] == PROGRAM)
    in_program, hashes = shipped(program, nodes), checksums()

    def described(id, kind):
        package = packages[id]
        return component(package, kind, id in in_program, hashes[package["name"], package["version"]])

    others = sorted((id for id in nodes if id != program), key=lambda id: purl(packages[id]))
    dependencies = [
        {
            "ref": purl(packages[id]),
            "dependsOn": sorted({purl(packages[each["pkg"]]) for each in nodes[id]["deps"]}),
        }
        for id in [program, *others]
    ]
    about = {"component": described(program, "application")}
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        moment = datetime.datetime.fromtimestamp(int(epoch), datetime.timezone.utc)
        about["timestamp"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    content = {
        "metadata": about,
        "components": [described(id, "library") for id in others],
        "dependencies": dependencies,
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.5", "serialNumber": f"urn:uuid:{serial}", "version": 1}
    return {**head, **content}


if __name__ == "__main__":
    json.dump(bill(), sys.stdout, indent=2, ensure_ascii=False)
    print()
