"""The scores once more, from their definitions: a table on standard input, all values as JSON on standard output.

Written apart from farmctl's own code, so that one mistake is not made twice. Arguments: the reference device, and the
table of published figures.
"""
import csv
import json
import math
import statistics
import sys

reference, published_path = sys.argv[1:]
with open(published_path) as file:
    published = {row["name"]: row for row in csv.DictReader(line for line in file if not line.startswith("#"))}

entrants = {}
for row in csv.DictReader(sys.stdin):
    row["t"] = float(row["mean_ms"]) / 1000 / int(row["batch"]) if row["status"] == "ok" else math.nan
    settings = row["threads"], row["batch"]
    cells = entrants.setdefault((row["device"], *settings), {})
    cells.setdefault((row["model"], row["backend"]), []).append(row)


def counting(runs):
    """Of repeats, the run with the median time, the lower of two."""
    times = [run["t"] for run in runs if run["status"] == "ok"]
    return next(run for run in runs if run["t"] == statistics.median_low(times)) if times else None


answers = {"aiotbench": {}, "throughput": {}, "published": {}, "geomean": {}, "dawnbench": {}, "bianco": {}}
best = {who: {what: counting(runs) for what, runs in cells.items()} for who, cells in entrants.items()}
for who, cells in best.items():
    name = " ".join(who)
    runs = {what: run for what, run in cells.items() if run}
    macs = lambda run: int(run["macs"]) / 1e9
    answers["aiotbench"][name] = [
        math.fsum(float(run["top1"]) / run["t"] for run in runs.values()),
        math.fsum(float(run["top1"]) * macs(run) / run["t"] for run in runs.values()),
        math.fsum(1 / run["t"] for run in runs.values()),
        math.fsum(macs(run) / run["t"] for run in runs.values()),
    ]
    answers["throughput"][name] = [math.fsum(1 / run["t"] for run in runs.values())]
    known = [(float(published[model]["top1_percent"]) / 100, run) for (model, _), run in runs.items() if model in published]
    answers["published"][name] = [
        math.fsum(top1 / run["t"] for top1, run in known),
        math.fsum(top1 * macs(run) / run["t"] for top1, run in known),
    ]
    other = best.get((reference, *who[1:]), {})
    ratios = [other[what]["t"] / run["t"] for what, run in runs.items() if other.get(what)]
    answers["geomean"][name] = [math.prod(ratios) ** (1 / len(ratios))] if ratios else [None]
    for (model, backend), run in runs.items():
        which = f"{name} {model} {backend}"
        if float(run["top5"]) >= 0.93:
            cost = float(run["price_per_hour"]) / 3600 * run["t"] * 10000
            answers["dawnbench"][which] = [float(run["mean_ms"]), cost]
        if model in published and published[model]["params"]:
            answers["bianco"][which] = [float(run["top1"]) * 100 / (int(published[model]["params"]) / 1e6)]
json.dump(answers, sys.stdout)
