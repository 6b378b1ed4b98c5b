"""What bench/steps.py compares: ftrun, the products of its network alone, and PyTorch. Each contender answers a round
with images a second, or has a reason why it cannot."""

import json
import os
import resource
import select
import statistics
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = {"resnet50": "resnet50", "alexnet-tv": "alexnet"}  # ours -> torchvision's: the same network


def busy_seconds():
    """CPU seconds since boot that were not idle, of all processes (and stolen ones)."""
    with open("/proc/stat") as stat:
        v = [int(x) for x in stat.readline().split()[1:9]]
    return (v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) / os.sysconf("SC_CLK_TCK")


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Watch:
    """Share of the cores that neither we nor the measured process used."""

    def __init__(self):
        self.start, self.busy = time.perf_counter(), busy_seconds()

    def others(self, own_cpu_s):
        wall = time.perf_counter() - self.start
        # /proc/stat counts in hundredths of a second, on every core
        rest = busy_seconds() - self.busy - own_cpu_s - 0.01 * os.cpu_count()
        return max(0.0, rest) / (wall * os.cpu_count())


class Unavailable(Exception):
    pass


class Contender:
    def __init__(self, name):
        self.name, self.rounds, self.others, self.peak_bytes, self.reason = name, [], [], None, None
        self.about = None  # what it runs on

    def run_round(self):
        if self.reason:
            return
        try:
            rate, others = self.measure()
            self.rounds.append(rate)
            self.others.append(others)
        except Unavailable as e:
            self.reason = str(e)

    def measure(self):
        raise NotImplementedError

    def close(self):
        pass

    def report(self, busy):
        if self.reason:
            return {"reason": self.reason}
        result = {"images_per_s": statistics.median(self.rounds), "rounds": self.rounds,
                  "noisy_rounds": sum(o > busy for o in self.others)}
        if self.peak_bytes:
            result["peak_bytes"] = self.peak_bytes
        if self.about:
            result["about"] = self.about
        return result


def run_json(command):
    """Runs a program that prints JSON. Gives what it said and its CPU seconds."""
    before = children_seconds()
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as e:
        raise Unavailable(f"{command[0]}: {e.strerror}") from e
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()
        raise Unavailable(f"{os.path.basename(command[0])}: {said[-1]}")
    return json.loads(done.stdout), children_seconds() - before


class Ftrun(Contender):
    def __init__(self, o, row):
        super().__init__("ftrun")
        self.command = [os.path.join(o.bin, "ftrun"), "bench", "--json", "--device", "cpu", "--model", row["model"],
                        "--mode", "infer" if row["mode"] == "infer" else "train", "--precision", row["precision"],
                        "--batch", str(o.batch), "--threads", str(o.threads), "--steps", str(o.steps)]
        if row["mode"] == "head_only":
            self.command.append("--head-only")

    def measure(self):
        watch = Watch()
        said, cpu = run_json(self.command)
        self.about = said["device"]
        self.peak_bytes = max(self.peak_bytes or 0, said["peak_bytes"])
        return said["images_per_s"], watch.others(cpu)


class Products(Contender):
    """The convolutions and products of the network alone, at the batch of nets_bench: what the step could reach."""

    BATCH = 32

    def __init__(self, o, row):
        super().__init__("products")
        case = "{precision}/{model}/{mode}".format(**row)
        self.command = [os.path.join(o.bin, "nets_bench"), f"--ft_threads={o.threads}", "--benchmark_min_time=0.5",
                        f"--benchmark_filter=^{case}/", "--benchmark_format=json"]

    def measure(self):
        watch = Watch()
        said, cpu = run_json(self.command)
        return said["benchmarks"][0]["images/s"], watch.others(cpu)


class Peer(Contender):
    def __init__(self, o, row, variant):
        super().__init__(f"peer {variant}")
        self.batch, self.steps = o.batch, o.steps
        self.process = None
        if variant == "optimized" and row["mode"] != "infer":
            self.reason = "does not train"
            return
        command = [o.peer_python, os.path.join(HERE, "peer_torch.py"), "--model", MODELS[row["model"]], "--precision",
                   row["precision"], "--mode", row["mode"], "--variant", variant, "--batch", str(o.batch),
                   "--threads", str(o.threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        try:
            self.answer(o.timeout)
        except Unavailable as e:
            self.reason = str(e)

    def answer(self, timeout=None):
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            self.process.kill()
            raise Unavailable(f"not ready after {timeout} s")
        line = self.process.stdout.readline()
        said = json.loads(line) if line else {"error": f"ended without an answer, status {self.process.wait()}"}
        if "error" in said:
            raise Unavailable(said["error"])
        return said

    def measure(self):
        watch = Watch()
        self.process.stdin.write(f"{self.steps}\n")
        self.process.stdin.flush()
        said = self.answer()
        self.peak_bytes = said["peak_bytes"]
        return self.batch / statistics.median(said["seconds"]), watch.others(said["cpu_s"])

    def close(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()
