"""Writes what binaries are made of, as CycloneDX 1.5 JSON, from cargo's own metadata and Cargo.lock.

    sbom.py DIRECTORY PACKAGE...

Standard library alone. Crates that only tests, benches and build scripts of others need are left out.
"""

import json
import pathlib
import subprocess
import sys
import tomllib
import uuid

TARGET = "x86_64-unknown-linux-gnu"


def read_metadata():
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", TARGET]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def read_checksums():
    lock = tomllib.loads(pathlib.Path("Cargo.lock").read_text())
    return {(p["name"], p["version"]): p["checksum"] for p in lock["package"] if "checksum" in p}


def in_binary(nodes, root):
    """The ids of the packages that are linked into the binary of `root`, and what each needs."""
    needs, to_visit = {}, [root]
    while to_visit:
        package = to_visit.pop()
        if package in needs:
            continue
        linked = [
            dep["pkg"]
            for dep in nodes[package]["deps"]
            if any(kind["kind"] is None for kind in dep["dep_kinds"])
        ]
        needs[package] = sorted(linked)
        to_visit += linked
    return needs


def component(package, checksums):
    name, version = package["name"], package["version"]
    described = {
        "type": "library",
        "bom-ref": package["id"],
        "name": name,
        "version": version,
        "purl": f"pkg:cargo/{name}@{version}",
    }
    if licence := package.get("license"):
        # Cargo's former form of OR.
        described["licenses"] = [{"expression": licence.replace("/", " OR ").replace("  ", " ")}]
    if checksum := checksums.get((name, version)):
        described["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return described


def document(metadata, checksums, name):
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    own = set(metadata["workspace_members"])
    root = next(id for id in own if packages[id]["name"] == name)
    needs = in_binary(nodes, root)
    binary = component(packages[root], checksums) | {"type": "application"}
    others = sorted(set(needs) - {root})
    content = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": binary},
        "components": [component(packages[id], checksums) for id in others],
        "dependencies": [{"ref": id, "dependsOn": needs[id]} for id in sorted(needs)],
    }
    # The same content has the same number.
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    return {"serialNumber": number.urn} | content


def main(directory, *names):
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    metadata, checksums = read_metadata(), read_checksums()
    for name in names:
        path = directory / f"{name}.cdx.json"
        content = document(metadata, checksums, name)
        path.write_text(json.dumps(content, indent=2) + "\n")
        print(f"{path}: {len(content['components'])} components")


main(*sys.argv[1:])
