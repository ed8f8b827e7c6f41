"""Writes what binaries are made of, as CycloneDX 1.5 JSON, from cargo's own metadata and Cargo.lock.

    sbom.py DIRECTORY PACKAGE...

Standard library alone. Crates that only tests, benches and build scripts of others need are left out, and those that
no feature turns on.
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib
import uuid

TARGET = "x86_64-unknown-linux-gnu"


def printed_by(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def read_needs():
    """What each package needs if all binaries are built together, as in a release. `cargo metadata` also tells of
    optional dependencies that nobody has turned on."""
    tree = printed_by("cargo", "tree", "--workspace", "--locked", "--target", TARGET, "--edges", "normal",
                      "--prefix", "depth", "--format", " {p}")
    needs, path = {}, []
    for depth, *package in re.findall(r"^(\d+) (\S+) v(\S+)", tree, re.MULTILINE):
        del path[int(depth):]
        path.append(tuple(package))
        needs.setdefault(path[-1], set())
        # What a package needs is shown where it comes for the first time.
        if len(path) > 1:
            needs[path[-2]].add(path[-1])
    return needs


def read_licences():
    metadata = json.loads(printed_by("cargo", "metadata", "--format-version", "1", "--locked"))
    # A slash is Cargo's former form of OR.
    return {
        (p["name"], p["version"]): re.sub(" */ *", " OR ", p["license"])
        for p in metadata["packages"]
        if p["license"]
    }


def read_checksums():
    lock = tomllib.loads(pathlib.Path("Cargo.lock").read_text())
    return {(p["name"], p["version"]): p["checksum"] for p in lock["package"] if "checksum" in p}


def in_binary(needs, root):
    """The packages that are linked into the binary of `root`."""
    found, to_visit = set(), [root]
    while to_visit:
        package = to_visit.pop()
        if package not in found:
            found.add(package)
            to_visit += needs[package]
    return found


def purl(package):
    return "pkg:cargo/{}@{}".format(*package)


def component(package, licences, checksums):
    name, version = package
    described = {
        "type": "library",
        "bom-ref": purl(package),
        "name": name,
        "version": version,
        "purl": purl(package),
    }
    if licence := licences.get(package):
        described["licenses"] = [{"expression": licence}]
    if checksum := checksums.get(package):
        described["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return described


def document(needs, licences, checksums, name):
    root = next(package for package in needs if package[0] == name)
    packages = sorted(in_binary(needs, root))
    binary = component(root, licences, checksums) | {"type": "application"}
    content = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": binary},
        "components": [component(other, licences, checksums) for other in packages if other != root],
        "dependencies": [
            {"ref": purl(package), "dependsOn": sorted(map(purl, needs[package]))} for package in packages
        ],
    }
    # The same content has the same number.
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    return {"serialNumber": number.urn} | content


def main(directory, *names):
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    needs, licences, checksums = read_needs(), read_licences(), read_checksums()
    for name in names:
        path = directory / f"{name}.cdx.json"
        content = document(needs, licences, checksums, name)
        path.write_text(json.dumps(content, indent=2) + "\n")
        print(f"{path}: {len(content['components'])} components")


main(*sys.argv[1:])
