"""The card beside each capture (`NAME.toml`): what it shows, how it was made, what must be found in it."""

from __future__ import annotations

from pathlib import Path

import mta
from lab import sh


def toml(value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + " }"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def text_block(text: str) -> str:
    return '"""\n' + text.strip().replace("\\", "\\\\").replace('"""', "'''") + '\n"""'


def table(name: str, values: dict) -> str:
    """One TOML table. A list of tables becomes an array of tables below it."""
    plain = {key: value for key, value in values.items() if not (isinstance(value, list) and value and isinstance(value[0], dict))}
    lines = [f"[{name}]", *[f"{key} = {toml(value)}" for key, value in plain.items()], ""]
    for key, rows in values.items():
        if key not in plain:
            for row in rows:
                lines += [f"[[{name}.{key}]]", *[f"{k} = {toml(v)}" for k, v in row.items()], ""]
    return "\n".join(lines)


def write(pcap: Path, *, title: str, shows: str, report: list[str], tap: str, command: str, seed: int, began: str,
          hosts: list[dict], expect: dict, truth: dict, settings: dict | None = None,
          more_software: list[str] | None = None) -> None:
    """`began` is when the scenario began: all seconds count from there. `truth` is what the lab did, counted by those who
    did it; `expect` is what a reader of the capture must find; `settings` are the flags the reader is given beyond its
    defaults."""
    frames = sh("capinfos", "-TmrQ", "-c", str(pcap)).stdout.strip().rpartition(",")[2].strip('"')
    recorded = {"began": began, "command": command, "seed": seed, "tap": tap, "software": ", ".join([mta.versions(), *(more_software or [])]),
                "file_bytes": pcap.stat().st_size, "frames": int(frames)}
    parts = [f"title = {toml(title)}", f"field_reports = {toml(report)}", f"shows = {text_block(shows)}", "",
             table("recorded", recorded), table("settings", settings or {}),
             table("network", {"host": hosts}), table("truth", truth), table("expect", expect)]
    pcap.with_suffix(".toml").write_text("\n".join(parts).rstrip() + "\n")
