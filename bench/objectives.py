"""Every objective of docs/algorithms.md from one SFT start on the pharmacy desk: its test figures by the known truth,
beside those of the start, and the rewards of its training.

usage: objectives.py --program build/release/bin/learn2ask --out runs/objectives [--seeds 1 2 3] [--sft-epochs 1]
                     [--steps 20] [--only NAME ...] [--jobs 2]

A seed has its own sessions and its own SFT; each objective trains from there for the same number of steps, at the same
learning rate, and is taken as it is after the last. --jobs runs that many at a time, each on one thread. Killed, it goes
on where it was. Writes objectives.json, objectives.md and the curves of training, objectives.png, into --out.
"""
import argparse
import concurrent.futures
import json
import math
import pathlib
import statistics
import subprocess

import matplotlib
from matplotlib import pyplot

matplotlib.use("agg")

SESSIONS = 700
COMMON = {"policy.threads": 1, "reward.thresholds": "pharmacy"}
# Of Student's t with 1, 2, ... degrees of freedom: 95% are within.
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)

# Of a step of training: what is drawn, its highest value, and how.
CURVES = {
    "reward": ("reward / 4", 4, {"color": "black", "linewidth": 1.8}),
    "macro": ("stop decision", 1, {"color": "tab:blue", "linewidth": 1}),
    "micro": ("question utility", 1, {"color": "tab:orange", "linewidth": 1}),
    "format": ("format", 1, {"color": "tab:green", "linewidth": 1, "linestyle": ":"}),
}

# Command and settings; those of `grpo` and `dpo` without the section's name.
OBJECTIVES = {
    "GRPO": ("grpo", {}),
    "GRPO, token mean": ("grpo", {"advantage": "mean", "loss.normalise": "token"}),
    "DPO": ("dpo", {}),
    "DPO, expert chosen, SFT": ("dpo", {"pairs": "expert", "sft_weight": 0.1}),
    "KTO": ("dpo", {"objective": "kto"}),
    "GRPO and SFT": ("grpo", {"sft_weight": 0.1}),
    "credit by parts": ("grpo", {"advantage": "mean", "loss.normalise": "token", "credit": "parts"}),
    "Dr. GRPO": ("grpo", {"advantage": "mean", "loss.normalise": "constant"}),
    "RLOO": ("grpo", {"advantage": "leave_one_out", "loss.objective": "reinforce", "loss.normalise": "constant",
                      "loss.kl_weight": 0.03, "loss.kl": "k1", "loss.kl_in": "reward"}),
    "DAPO": ("grpo", {"loss.clip_high": 0.28, "loss.normalise": "token", "dynamic_rounds": 4, "overlong_buffer": 16}),
    "rejection sampling": ("grpo", {"advantage": "best", "loss.objective": "reinforce"}),
    "GDPO": ("grpo", {"advantage": "parts"}),
    "IPO": ("dpo", {"objective": "ipo"}),
    "REINFORCE++-baseline": ("grpo", {"advantage": "batch", "loss.kl_weight": 0.01, "loss.kl": "k2"}),
    "GSPO, 4 updates": ("grpo", {"loss.objective": "gspo", "loss.clip": 3e-4, "loss.clip_high": 4e-4, "minibatches": 4}),
    "CISPO, 4 updates": ("grpo", {"loss.objective": "cispo", "loss.clip": 1, "loss.clip_high": 0.28,
                                  "loss.normalise": "token", "minibatches": 4}),
    "PPO clipping, 4 updates": ("grpo", {"inner_epochs": 2, "minibatches": 2}),
    "GRPO, replies in eight bits": ("grpo", {"policy.int8_generation": "true"}),
    "REINFORCE": ("grpo", {"advantage": "mean", "loss.objective": "reinforce"}),
    "GRPO, KL 0.04": ("grpo", {"loss.kl_weight": 0.04}),
    "GRPO, temperature 0.6": ("grpo", {"temperature": 0.6}),
    "GRPO, temperature 0.3": ("grpo", {"temperature": 0.3}),
}


def slug(name):
    return "".join(c if c.isalnum() else "_" for c in name)


class Study:
    def __init__(self, options):
        self.options = options

    def run(self, *command, settings=()):
        sets = [x for key, value in dict(settings).items() for x in ("--set", f"{key}={value}")]
        done = subprocess.run([self.options.program, *map(str, command), *sets], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{command}: {done.stderr[-2000:]}")

    def folder(self, seed):
        return self.options.out / f"seed-{seed}"

    def prepare(self, seed):
        """Sessions, labels and the SFT start."""
        out = self.folder(seed)
        out.mkdir(parents=True, exist_ok=True)
        if not (out / "labels/test.jsonl").exists():
            self.run("generate", "pharmacy", "--sessions", SESSIONS, "--seed", seed, "--out", out / "logs.jsonl")
            self.run("import", out / "logs.jsonl", "--out", out / "data")
            for split in ("train", "dev", "test"):
                self.run("label", out / f"data/{split}.jsonl", "--out", out / f"labels/{split}.jsonl")
        self.run("train", "sft", out / "labels/train.jsonl", "--dev", out / "labels/dev.jsonl", "--out", out / "sft",
                 settings={"policy.threads": 1, "sft.seed": seed, "sft.epochs": self.options.sft_epochs,
                           "sft.optimizer.lr": 2e-3})

    def train(self, seed, name):
        command, settings = OBJECTIVES[name]
        own = {"seed": seed, "steps": self.options.steps, "sessions_per_step": 4, "weights.on_stop": 1.5,
               "optimizer.lr": self.options.lr} | settings
        named = {key if key.startswith("policy.") else f"{command}.{key}": value for key, value in own.items()}
        out = self.folder(seed)
        self.run("train", command, out / "labels/train.jsonl", "--adapter", out / "sft/adapter", "--out",
                 out / slug(name), settings=COMMON | named)
        print(f"seed {seed}: {name}: trained", flush=True)

    def evaluate(self, seed, name):
        out = self.folder(seed)
        target = out / "eval" / slug(name)
        if not (target / "eval.json").exists():
            self.run("eval", out / "labels/test.jsonl", "--split", "test", "--policy", f"policy={out / slug(name)}",
                     "--grader", "truth", "--sessions", out / "data/test.jsonl", "--domain", "pharmacy", "--out", target,
                     settings={"policy.threads": 1})

    def result(self, seed, name):
        target = self.folder(seed) / "eval" / slug(name)
        summary = json.loads((target / "eval.json").read_text())["policies"][0]["metrics"]
        rows = [json.loads(line) for line in (target / "rows/policy.truth.jsonl").open()]
        by_session = {}
        for row in rows:
            if row.get("reward") is not None:
                by_session.setdefault(row["session"], {})[row["turn"]] = row["reward"]
        return {"metrics": {key: value["value"] for key, value in summary.items() if isinstance(value, dict)},
                "rewards": by_session}

    def curve(self, seed, name, key):
        lines = [json.loads(line) for line in (self.folder(seed) / slug(name) / "metrics.jsonl").open()]
        return [line[key] for line in lines]


def difference(pairs):
    """Mean paired difference of rewards, a mean for each seed, with its 95% interval: Student's t over the seeds. A seed
    has its own sessions and its own luck in training, which sessions alone would not show."""
    by_seed = []
    for start, now in pairs:
        both = [(now[session][turn], start[session][turn]) for session in now.keys() & start.keys()
                for turn in now[session].keys() & start[session].keys()]
        by_seed.append(statistics.mean(x - y for x, y in both))
    mean = statistics.mean(by_seed)
    if len(by_seed) < 2:
        return by_seed, mean, None
    return by_seed, mean, T_95[len(by_seed) - 2] * statistics.stdev(by_seed) / len(by_seed) ** 0.5


def table(study, seeds, names):
    """Markdown, and what it was made of. Differences are to the start and to the first of `names`."""
    found = {name: {seed: study.result(seed, name) for seed in seeds} for name in ["sft", *names]}

    def paired(name, to):
        if name in ("sft", to):
            return ""
        by_seed, mean, half = difference([(found[to][s]["rewards"], found[name][s]["rewards"]) for s in seeds])
        interval = f" [{mean - half:+.2f}, {mean + half:+.2f}]" if half is not None else ""
        return f"{mean:+.3f}{interval} ({', '.join(f'{x:+.2f}' for x in by_seed)})"

    out = [f"| objective | reward | by seed | less the start's, paired | less {names[0]}'s, paired | WA-GH | CR | TR | "
           "balanced accuracy | reward in training, first and last 5 steps |", "|---" * 10 + "|"]
    results = {}
    for name in ["sft", *names]:
        metrics = {seed: found[name][seed]["metrics"] for seed in seeds}
        results[name] = {"metrics": metrics}

        def mean(key):
            return f"{statistics.mean(m[key] for m in metrics.values()):.3f}"

        ends = ""
        if name != "sft":
            curves = {key: [study.curve(seed, name, key) for seed in seeds] for key in CURVES}
            results[name]["curves"] = curves
            ends = ", ".join(f"{statistics.mean(x for c in curves['reward'] for x in c[part]):.2f}"
                             for part in (slice(5), slice(-5, None)))
        by_seed = ", ".join(f"{m['reward']:.2f}" for m in metrics.values())
        out.append("| " + " | ".join([
            "SFT, the start" if name == "sft" else name, mean("reward"), by_seed, paired(name, "sft"),
            paired(name, names[0]), mean("wa_gh"), mean("cr"), mean("tr"), mean("balanced_accuracy"), ends])
                   + " |")
    return "\n".join(out) + "\n", results


def draw(results, path):
    """The curves of each objective: at each step the mean over the seeds, and for the reward what lies between them."""
    shown = {name: found["curves"] for name, found in results.items() if "curves" in found}
    columns = min(4, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure, axes = pyplot.subplots(rows, columns, sharex=True, sharey=True, squeeze=False,
                                   figsize=(3 * columns, 2.2 * rows), layout="constrained")
    for axis in axes.flat[len(shown):]:
        axis.set_axis_off()
    for axis, (name, curves) in zip(axes.flat, shown.items()):
        for key, (label, most, style) in CURVES.items():
            values = [[x / most for x in at_step] for at_step in zip(*curves[key])]
            steps = range(1, len(values) + 1)
            axis.plot(steps, [statistics.mean(x) for x in values], label=label, **style)
            if key == "reward":
                axis.fill_between(steps, [min(x) for x in values], [max(x) for x in values], color=style["color"],
                                  alpha=0.15, linewidth=0)
        axis.set_title(name, fontsize=9)
        axis.grid(alpha=0.3)
        axis.tick_params(labelsize=8, labelbottom=True)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(CURVES), fontsize=9)
    figure.supxlabel("step", fontsize=9)
    figure.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--program", type=lambda p: pathlib.Path(p).resolve(), required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--sft-epochs", type=int, default=1, help="of the start")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=OBJECTIVES, default=list(OBJECTIVES))
    options = parser.parse_args()
    study = Study(options)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(study.prepare, options.seeds))
        list(pool.map(lambda seed: study.evaluate(seed, "sft"), options.seeds))

        def one(job):
            study.train(*job)
            study.evaluate(*job)

        list(pool.map(one, [(seed, name) for name in options.only for seed in options.seeds]))
    text, results = table(study, options.seeds, options.only)
    (options.out / "objectives.md").write_text(text)
    (options.out / "objectives.json").write_text(json.dumps(results, indent=1))
    draw(results, options.out / "objectives.png")
    print(text)


if __name__ == "__main__":
    main()
