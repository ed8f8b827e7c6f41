"""Checks bills of materials: by the schema of CycloneDX, and what it leaves open.

    check_sbom.py FILE...
"""

import json
import pathlib
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from license_expression import get_spdx_licensing

LICENCES = get_spdx_licensing()


def problems(text):
    document = json.loads(text)
    validator = JsonStrictValidator(SchemaVersion.from_version(document["specVersion"]))
    if error := validator.validate_str(text):
        yield repr(error)
        return
    described = [document["metadata"]["component"], *document["components"]]
    for component in described:
        for licence in component.get("licenses", []):
            yield from LICENCES.validate(licence["expression"]).errors
        if "licenses" not in component:
            yield f"{component['name']} has no licence"
    known = {component["bom-ref"] for component in described}
    for entry in document["dependencies"]:
        for unknown in {entry["ref"], *entry["dependsOn"]} - known:
            yield f"{unknown} is not described"


found = [f"{path}: {problem}" for path in sys.argv[1:] for problem in problems(pathlib.Path(path).read_text())]
print("\n".join(found) or f"{len(sys.argv) - 1} bills of materials are valid")
sys.exit(bool(found))
