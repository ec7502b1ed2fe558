"""Ask pip-audit whether anything that is locked has a known vulnerability; `make audit` runs it.

Exits with 1 where there is one that is not in `ACCEPTED`. Where the data on vulnerabilities are out of reach,
it says that nothing was audited and exits with 0: no answer is not a clean one, and no reason to stop either.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LOCKS = Path(__file__).parent
# A vulnerability's id: why it does not matter here, and what has to happen for it to go.
ACCEPTED: dict[str, str] = {}


def main() -> None:
    """Audit every version that some lock names, once."""
    pins = {
        pin for lock in LOCKS.glob("*.txt") for pin in re.findall(r"^[\w.-]+==[\w.]+", lock.read_text(), re.M)
    }
    answers = ask(sorted(pins))
    if answers is None:
        print("NOT AUDITED: the data on known vulnerabilities are out of reach.")
        return
    lines, vulnerable = judge(answers, ACCEPTED)
    print("\n".join(lines))
    sys.exit(vulnerable)


def ask(pins: list[str]) -> list[dict[str, Any]] | None:
    """What pip-audit says of packages, each ``name==version``; None if it could not reach its data."""
    answers = []
    rest = pins
    while rest:  # two versions of one package, for two Pythons, are two questions
        asked = list({pin.split("==")[0]: pin for pin in rest}.values())
        rest = [pin for pin in rest if pin not in asked]
        with tempfile.TemporaryDirectory() as folder:
            listed = Path(folder) / "requirements.txt"
            listed.write_text("\n".join(asked), encoding="utf-8")
            command = [sys.executable, "-m", "pip_audit", "-r", listed, "--no-deps", "--disable-pip"]
            answer = subprocess.run(
                [*command, "--format", "json", "--progress-spinner", "off"], capture_output=True, text=True
            )
        if answer.stdout.startswith("{"):
            answers += json.loads(answer.stdout)["dependencies"]
        elif re.search(r"connect|timed? ?out|name resolution", answer.stderr, re.IGNORECASE):
            return None
        else:
            sys.exit(answer.stderr)
    return answers


def judge(answers: list[dict[str, Any]], accepted: dict[str, str]) -> tuple[list[str], bool]:
    """Sentences on what pip-audit answered, and whether there is a vulnerability that nobody accepted."""
    unknown = [answer["name"] for answer in answers if "skip_reason" in answer]
    if len(unknown) == len(answers):
        return [
            "NOT AUDITED: none of the packages is known where the data on vulnerabilities come from."
        ], False
    lines = [f"Audited {len(answers) - len(unknown)} packages."]
    if unknown:
        lines.append(f"NOT AUDITED, since nothing is known of them: {', '.join(unknown)}.")
    vulnerable, met = False, set()
    for answer in answers:
        for fault in answer.get("vulns", ()):
            names = {fault["id"], *fault.get("aliases", ())}
            met |= names
            why = next((accepted[name] for name in sorted(names & accepted.keys())), None)
            vulnerable |= why is None
            fixed = ", ".join(fault.get("fix_versions", ())) or "no version yet"
            lines.append(
                f"{answer['name']} {answer['version']}: {fault['id']}, fixed in {fixed}; "
                + ("NOT ACCEPTED." if why is None else f"accepted: {why}")
            )
    lines += [
        f"{name} is accepted and no longer found: take it off the list."
        for name in accepted
        if name not in met
    ]
    return lines, vulnerable


if __name__ == "__main__":
    main()
