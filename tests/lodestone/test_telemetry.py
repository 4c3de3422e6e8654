"""Nothing is reported home unless the user turns it on."""

import json
import os
import subprocess
import sys

HAYSTACK = """
import haystack, haystack.telemetry._telemetry as telemetry
print(json.dumps(telemetry.telemetry is not None))
"""
OPENVINO = """
try:
    import openvino_telemetry
    print(json.dumps(True))
except ImportError:
    print(json.dumps(False))
"""


def reports(code: str, first: str = "", **environment: str) -> bool:
    variables = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name} | environment
    script = f"{first}\nimport json, lodestone\n{code}"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=variables, check=True)
    return bool(json.loads(result.stdout.splitlines()[-1]))


def test_haystack_reports_nothing() -> None:
    assert not reports(HAYSTACK)


def test_haystack_reports_nothing_even_if_it_was_imported_first() -> None:
    assert not reports(HAYSTACK, first="import haystack, haystack.telemetry")


def test_haystack_reports_when_the_user_wants_it() -> None:
    assert reports(HAYSTACK, HAYSTACK_TELEMETRY_ENABLED="True")


def test_openvino_and_nncf_find_nothing_to_report_with() -> None:
    # Both report through the package openvino_telemetry, and go without where it cannot be imported.
    assert not reports(OPENVINO)


def test_openvino_and_nncf_report_when_the_user_wants_it() -> None:
    assert reports(OPENVINO, LODESTONE_TELEMETRY="1")
