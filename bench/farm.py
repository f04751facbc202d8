"""A lab on this host in a folder of its own, and the device-runner as a host drives it: what several scripts here need."""
import csv
import hashlib
import json
import os
import re
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROTOCOL = int(re.search(r"PROTOCOL_VERSION: u32 = (\d+)", open(os.path.join(ROOT, "protocol/src/lib.rs")).read())[1])
NETWORKS = ["squeezenet1_0", "mobilenet_v2", "mnasnet1_0", "densenet121", "resnet50", "inception_v3"]


def add_programs(parser):
    """Options for programs that are there already."""
    parser.add_argument("--farmctl", help="a farmctl that is there; without it, one is built")
    parser.add_argument("--runner", help="a device-runner that is there; without it, one is built")


def host_target():
    lines = subprocess.check_output(["rustc", "-vV"], text=True).splitlines()
    return next(line.split()[1] for line in lines if line.startswith("host:"))


def programs(arguments):
    """Paths of farmctl and device-runner."""
    farmctl, runner = arguments.farmctl, arguments.runner
    if farmctl is None:
        subprocess.run(["cargo", "build", "--release", "--locked", "-p", "farmctl", "--bins"], cwd=ROOT, check=True)
        farmctl = os.path.join(ROOT, "target", "release", "farmctl")
    if runner is None:
        host = host_target()
        flags = "CARGO_TARGET_" + host.upper().replace("-", "_") + "_RUSTFLAGS"
        command = ["cargo", "build", "--release", "--locked", "-p", "device-runner", "--target", host, "--target-dir", "target/runners"]
        subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, flags: "-C target-feature=+crt-static"})
        runner = os.path.join(ROOT, "target", "runners", host, "release", "device-runner")
    return os.path.abspath(farmctl), os.path.abspath(runner)


class Lab:
    """A lab whose one device is this host."""

    def __init__(self, folder, farmctl, runner):
        self.folder, self.farmctl = folder, farmctl
        self.workdir = os.path.join(folder, "device")
        shutil.copytree(os.path.join(ROOT, "configs"), os.path.join(folder, "configs"))
        os.makedirs(os.path.join(folder, "farms"))
        self.write("farms/here.yaml", f"devices:\n  - {{ name: here, transport: local, workdir: {self.workdir} }}\n")
        target = os.path.join(folder, "runners", host_target())
        os.makedirs(target)
        shutil.copy(runner, target)

    def write(self, path, text):
        with open(os.path.join(self.folder, path), "w", encoding="utf-8") as file:
            file.write(text)

    def start(self, *words, **options):
        """A process of farmctl in the lab."""
        command = [self.farmctl, "--runner-dir", os.path.join(self.folder, "runners"), *words]
        return subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def run(self, *words):
        """What farmctl prints."""
        process = self.start(*words)
        out, err = process.communicate()
        if process.returncode not in (0, 6):
            raise SystemExit(f"farmctl {' '.join(words)} ended with {process.returncode}\n{err[-2000:]}")
        return out

    def model(self, name):
        """The file of a network with synthetic weights."""
        rows = csv.DictReader(self.run("--format", "csv", "models", "build", name).splitlines())
        return os.path.join(self.folder, next(rows)["file"])

    def newest_rows(self):
        """The rows of the newest sweep."""
        reports = os.path.join(self.folder, "reports")
        tables = [os.path.join(reports, name, "results.csv") for name in os.listdir(reports)]
        newest = max(filter(os.path.exists, tables), key=os.path.getmtime)
        with open(newest, encoding="utf-8") as file:
            return list(csv.DictReader(file))


class Runner:
    """The device-runner with a work folder, without a farmctl."""

    def __init__(self, path, folder):
        self.path, self.folder, self.turn = path, folder, 0
        os.makedirs(os.path.join(folder, "store"))

    def push(self, model):
        with open(model, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        shutil.copy(model, os.path.join(self.folder, "store", digest))
        return {"sha256": digest, "size_bytes": os.path.getsize(model)}

    def start(self, artifact, limits, environment=None, before=()):
        """A process that does a run and prints its messages."""
        self.turn += 1
        job = {"model": artifact, "format": "onnx", "backend": "tract", "precision": "fp32", "threads": 1, "cpus": None, "batch": 1, "scenario": "single_stream",
               "limits": limits, "seed": 1, "input_range": {"low": 0.0, "high": 1.0}}
        fence = {"lab": "bench", "epoch": 1}
        request = {"protocol": PROTOCOL, "run_id": f"bench-{self.turn}", "deadline_seconds": 3600, "fence": fence, "job": job}
        command = [*before, self.path, "run", "--workdir", self.folder]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})})
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.close()
        return process

    def run(self, *words, **options):
        """The messages of a run, and its samples in nanoseconds."""
        process = self.start(*words, **options)
        messages = [json.loads(line) for line in process.stdout]
        process.wait()
        assert messages[-1]["kind"] == "finished", messages[-1]
        return messages, [sample for message in messages if message["kind"] == "samples" for sample in message["latencies_ns"]]


def fixed(runs):
    """Limits of a run of so many inferences."""
    return {"warmup_min_runs": 1, "warmup_min_seconds": 0, "warmup_max_seconds": 60, "min_runs": runs, "max_runs": runs, "min_seconds": 0, "max_seconds": 600}


def lasting(seconds):
    """Limits of a run that lasts so long."""
    return {"warmup_min_runs": 3, "warmup_min_seconds": 0.2, "warmup_max_seconds": 60, "min_runs": 1, "max_runs": 1000000, "min_seconds": seconds, "max_seconds": seconds}
