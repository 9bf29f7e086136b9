"""An update's forward and backward pass, and a whole GRPO step, on the expert turns of logged sessions: this
program's session tree, its tree for each prompt, its rows alone; Hugging Face + PEFT on naive rows, TRL's GRPOTrainer.

usage: session_tree.py --programs build/release/bin --sessions SESSIONS.jsonl [--count 16] [--rounds 3] [--threads 2]
                       [--only sizes steps updates]

All have the same weights, adapter (rank 16 on every linear layer, bfloat16 model) and contexts; in the update also the
same replies, 8 a turn, of 20 to 38 tokens of what experts say in SESSIONS. The peers run with tcmalloc as this program does, and
Hugging Face with the micro-batch that a probe finds fastest. Every measurement is a process of its own that warms up
first; rounds take turns, medians are printed. A step is measured on --step-sessions sessions here and on
8 of their prompts in TRL, and compared by the time of a prompt's 8 replies. First, trees of 500 to 16,000 tokens.

On a GPU (--device cuda) each process measures --rounds times, all of it in TRL too, and memory is the device's. --shape
measures a model of that shape with random weights, which speaks the tokens of the folder --model.
"""
import argparse
import ctypes.util
import json
import os
import pathlib
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

REPLIES, STEP_TOKENS, PEER_PROMPTS = 8, 40, 8
PADDING = 2
SHAPES = {
    "smollm2-135m": dict(model_type="llama", hidden_size=576, num_hidden_layers=30, num_attention_heads=9,
                         num_key_value_heads=3, intermediate_size=1536, vocab_size=49152, rope_theta=100000.0,
                         tie_word_embeddings=True),
    "qwen2.5-1.5b": dict(model_type="qwen2", hidden_size=1536, num_hidden_layers=28, num_attention_heads=12,
                         num_key_value_heads=2, intermediate_size=8960, vocab_size=151936, rope_theta=1000000.0,
                         tie_word_embeddings=True),
    "qwen2.5-7b": dict(model_type="qwen2", hidden_size=3584, num_hidden_layers=28, num_attention_heads=28,
                       num_key_value_heads=4, intermediate_size=18944, vocab_size=152064, rope_theta=1000000.0,
                       tie_word_embeddings=False),
}


def report(device, **result):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if device != "cpu":
        import torch

        peak = torch.cuda.max_memory_allocated() / 2**20
    print(json.dumps(result | {"peak_mib": peak}))


def now(device):
    if device != "cpu":
        import torch

        torch.cuda.synchronize()
    return time.perf_counter()


def peer_model(job):
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(job["model"], dtype=getattr(torch, job["type"]))
    return model.to(job["device"])


def write_random_model(job):
    import torch
    import transformers

    shape = dict(SHAPES[job["shape"]])
    config = transformers.AutoConfig.for_model(shape.pop("model_type"), max_position_embeddings=32768, eos_token_id=2,
                                               bos_token_id=1, pad_token_id=2, dtype="bfloat16", **shape)
    torch.manual_seed(1)
    with torch.device(job["device"]):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(job["model"])
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"):
        if (pathlib.Path(job["tokens_of"]) / name).exists():
            shutil.copy(pathlib.Path(job["tokens_of"]) / name, job["model"])
    report(job["device"])


def write_adapter(job):
    import peft
    import torch

    torch.manual_seed(1)
    config = peft.LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", init_lora_weights=False,
                             task_type="CAUSAL_LM")
    peft.get_peft_model(peer_model(job), config).save_pretrained(job["adapter"])
    report(job["device"])


def naive_pass(model, rows, micro_batch, device):
    """Forward and backward as trainers do it: prompts padded on the left, replies on the right, logits of the replies."""
    import torch

    rows = sorted(rows, key=lambda row: len(row["context"]) + len(row["reply"]), reverse=True)
    total = 0
    for i in range(0, len(rows), micro_batch):
        batch = rows[i: i + micro_batch]
        context = max(len(row["context"]) for row in batch)
        reply = max(len(row["reply"]) for row in batch)
        pads = [(context - len(row["context"]), reply - len(row["reply"])) for row in batch]
        ids = torch.tensor([[PADDING] * left + row["context"] + row["reply"] + [PADDING] * right
                            for row, (left, right) in zip(batch, pads)], device=device)
        mask = torch.tensor([[0] * left + [1] * (ids.shape[1] - left - right) + [0] * right for left, right in pads],
                            device=device)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        logits = model(input_ids=ids, attention_mask=mask, position_ids=positions,
                       logits_to_keep=reply + 1, use_cache=False).logits[:, :-1]
        log_probs = torch.log_softmax(logits.float(), -1).gather(-1, ids[:, -reply:, None])[..., 0]
        weights = torch.tensor([[row["weight"]] for row in batch], device=device) * mask[:, -reply:]
        loss = -(log_probs * weights).sum()
        loss.backward()
        total += loss.item()
    return total


def run_naive(job):
    import peft
    import torch

    torch.set_num_threads(job["threads"])
    model = peft.PeftModel.from_pretrained(peer_model(job), job["adapter"], is_trainable=True)
    model.train()
    rows = [json.loads(line) for line in open(job["rows"])]
    share, device = job["share"], job["device"]
    tokens = sum(len(row["context"]) + len(row["reply"]) for row in rows)
    micro_batch, probed = job["micro_batch"], {}
    naive_pass(model, rows[:2], 1, device)
    if micro_batch is None:
        some = random.Random(1).sample(rows, min(len(rows), job["probe_rows"]))
        for size in job["probe"]:
            try:
                naive_pass(model, some[:size], size, device)  # new shapes are slow once
                start = now(device)
                naive_pass(model, some, size, device)
                probed[size] = now(device) - start
            except torch.OutOfMemoryError:
                break
        micro_batch = min(probed, key=probed.get)
        if device == "cpu":  # by itself: what the probe has left behind counts as memory
            return report(device, micro_batch=micro_batch, probe_seconds=probed)
        torch.cuda.reset_peak_memory_stats()
    each = []
    for _ in range(job["rounds"]):
        model.zero_grad()
        start = now(device)
        loss = naive_pass(model, rows[::share], micro_batch, device)
        each.append(now(device) - start)
    computed = sum(len(row["context"]) + len(row["reply"]) for row in rows[::share])
    each = [seconds * tokens / computed for seconds in each]
    norm = sum(p.grad.double().square().sum() for p in model.parameters() if p.grad is not None) ** 0.5
    whole = {"loss": loss, "gradient_norm": norm.item()} if share == 1 else {}
    report(device, seconds=statistics.median(each), each=each, tokens=tokens, micro_batch=micro_batch,
           probe_seconds=probed, **whole)


def run_trl(job):
    import datasets
    import peft
    import torch
    import transformers
    import trl

    torch.set_num_threads(job["threads"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(job["model"])
    model = peft.PeftModel.from_pretrained(peer_model(job), job["adapter"], is_trainable=True)
    prompts = [tokenizer.decode(ids) for ids in job["contexts"]]
    ends = []

    class Watch(transformers.TrainerCallback):
        def on_step_end(self, *_, **__):
            ends.append(now(job["device"]))

    with tempfile.TemporaryDirectory() as folder:
        config = trl.GRPOConfig(
            output_dir=folder, per_device_train_batch_size=job["batch"],
            gradient_accumulation_steps=len(prompts) * REPLIES // job["batch"],
            num_generations=REPLIES, max_completion_length=STEP_TOKENS, temperature=1.0, beta=0.0,
            max_steps=1 + job["rounds"], use_cpu=job["device"] == "cpu", bf16=job["type"] == "bfloat16",
            gradient_checkpointing=False, report_to=[], save_strategy="no", disable_tqdm=True,
            logging_strategy="no", learning_rate=1e-5)
        trainer = trl.GRPOTrainer(model=model, args=config, processing_class=tokenizer,
                                  train_dataset=datasets.Dataset.from_dict({"prompt": prompts}),
                                  reward_funcs=lambda completions, **_: [float(len(c) % 7) for c in completions],
                                  callbacks=[Watch()])
        start = now(job["device"])
        trainer.train()
    each = [after - before for before, after in zip(ends, ends[1:])]
    if job["device"] == "cpu":  # nothing to warm up: the first step is as good
        each = [min(ends[0] - start, *each)]
    report(job["device"], seconds=statistics.median(each), each=each, groups=len(prompts))


def tcmalloc():
    name = ctypes.util.find_library("tcmalloc_minimal") or ctypes.util.find_library("tcmalloc")
    return {"LD_PRELOAD": name} if name else {}


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.model, self.adapter, self.labels = (folder / name for name in ("model", "adapter", "labels.jsonl"))
        self.rounds, self.repeats = (options.rounds, 1) if options.device == "cpu" else (1, options.rounds)
        if options.shape:
            self.peer("random", shape=options.shape, tokens_of=str(options.model))
        elif options.model:
            self.model = options.model
        else:
            self.program("export", "--format", "folder", "--out", self.model)
        self.peer("adapter")
        self.program("import", "--train", options.sessions, "--out", folder / "data")
        self.program("label", folder / "data/train.jsonl", "--out", self.labels)
        self.rows = folder / "rows.jsonl"
        self.write_rows()
        self.micro_batch = None

    def program(self, *arguments, text=None):
        return subprocess.run([self.options.programs / "learn2ask", *arguments], input=text, capture_output=True,
                              text=True, check=True).stdout

    def ours(self, *arguments):
        place = ["--model", self.model, "--device", self.options.device, "--rounds", str(self.repeats)]
        run = subprocess.run([self.options.programs / "session_tree_bench", *place, *map(str, arguments)],
                             capture_output=True, text=True)
        if run.returncode != 0:
            raise RuntimeError(run.stderr[-2000:])
        return [json.loads(line) for line in run.stdout.splitlines()]

    def peer(self, kind, **job):
        job |= {"kind": kind, "threads": self.options.threads, "model": str(self.model), "adapter": str(self.adapter),
                "device": self.options.device, "rounds": self.repeats, "type": self.options.peer_type}
        run = subprocess.run([sys.executable, __file__, "--job"], input=json.dumps(job), capture_output=True, text=True,
                             env=os.environ | tcmalloc())
        if run.returncode != 0:
            raise RuntimeError(f"{kind}: {run.stderr[-2000:]}")
        return json.loads(run.stdout.splitlines()[-1])

    def write_rows(self):
        said = [m["content"] for line in self.options.sessions.read_text().splitlines()
                for m in json.loads(line)["messages"] if m["role"] == "assistant"]
        rng = random.Random(1)
        contexts = self.ours("contexts", self.labels, self.options.count, *self.options.prompt)
        texts = [" ".join(rng.choices(said, k=5)) for _ in range(REPLIES * len(contexts))]
        ids = [json.loads(line)[:rng.randint(19, 37)] for line in self.program(
            "model", "tokenize", self.model, text="".join(json.dumps(text) + "\n" for text in texts)).splitlines()]
        end = PADDING  # ends a turn, too
        total = sum(map(len, ids)) + len(ids)
        with self.rows.open("w") as file:
            for i, reply in enumerate(ids):
                row = contexts[i // REPLIES] | {"group": i // REPLIES, "reply": reply + [end],
                                                "weight": rng.uniform(-1, 1) / total}
                file.write(json.dumps(row) + "\n")

    def updates(self):
        names = {"tree": "session tree", "prompt": "a tree for each prompt", "rows": "rows alone"}
        for sharing, name in names.items():
            if sharing != "tree" and sharing not in self.options.sharing:
                continue
            yield f"learn2ask, {name}", lambda s=sharing: self.ours(
                "update", self.rows, self.adapter, s, self.options.threads, *self.options.budget)[0]
        if self.options.peers:
            share = self.options.peer_share
            yield "Hugging Face + PEFT, rows" + (f", 1 of {share}" if share > 1 else ""), self.naive

    def naive(self):
        on_cpu = self.options.device == "cpu"
        job = {"rows": str(self.rows), "probe": self.options.probe, "probe_rows": 32 if on_cpu else 256}
        if on_cpu and self.micro_batch is None:
            probe = self.peer("naive", micro_batch=None, share=1, **job)
            self.micro_batch = probe["micro_batch"]
            print(f"micro-batch of {self.micro_batch} rows: {probe['probe_seconds']}", file=sys.stderr, flush=True)
        measured = self.peer("naive", micro_batch=self.micro_batch, share=self.options.peer_share, **job)
        self.micro_batch = measured["micro_batch"]
        return measured

    def steps(self):
        ways = [("exact", "learn2ask")]
        if self.options.device == "cpu":
            ways.append(("int8", "learn2ask, replies in eight bits"))
        for generation, name in ways:
            yield name, lambda g=generation: self.ours("step", self.labels, self.options.step_sessions, self.adapter,
                                                       STEP_TOKENS, self.options.threads, g, *self.options.budget)[0]
        if self.options.peers:
            contexts = [line["context"] for line in self.ours("contexts", self.labels, self.options.step_sessions)]
            if self.options.device == "cpu":
                some, batch = contexts[:: max(1, len(contexts) // PEER_PROMPTS)][:PEER_PROMPTS], REPLIES
            else:
                batch = self.options.peer_batch
                some = contexts[: len(contexts) * REPLIES // batch * batch // REPLIES]
            yield "TRL GRPOTrainer", lambda: self.peer("trl", contexts=some, batch=batch)

    def measure(self, contenders):
        """Median seconds and what else the last measurement said, by name."""
        contenders = list(contenders)
        seconds = {name: [] for name, _ in contenders}
        last = {}
        for _ in range(self.rounds):
            for name, run in contenders:
                last[name] = run()
                seconds[name] += last[name]["each"]
                print(f"{name}: {json.dumps(last[name])}", file=sys.stderr, flush=True)
        return {name: (statistics.median(s), min(s), max(s), last[name]) for name, s in seconds.items()}

    def compare_updates(self):
        measured = self.measure(self.updates())
        first, _, _, tree = next(iter(measured.values()))  # the session tree
        print(f"\nupdate: {tree['targets']} tokens of replies; limit of the session tree {tree['limit_seconds']:.2f} s "
              f"({tree['limit_gigaflops']:.0f} GF/s): it runs at {100 * tree['limit_seconds'] / first:.0f}%")
        print(f"{'':36}{'tokens':>9} {'seconds':>8} {'spread':>15} {'tree is':>8} {'FLOPs':>7} {'memory':>9} {'loss':>9} "
              f"{'|gradient|':>10}")
        for name, (median, low, high, last) in measured.items():
            flops = f"{last['flops'] / tree['flops']:6.1f}x" if "flops" in last else ""
            sums = f"{last['loss']:9.5f} {last['gradient_norm']:10.5f}" if "loss" in last else ""
            print(f"{name:36}{last['tokens']:9} {median:8.2f} {f'{low:.2f} to {high:.2f}':>15} {median / first:7.1f}x "
                  f"{flops:>7} {last['peak_mib']:5.0f} MiB {sums}")

    def measure_sizes(self):
        print(f"\na tree of\n{'tokens':>8} {'targets':>8} {'seconds':>8} {'tokens/s':>9} {'of the limit':>13} {'memory':>9}")
        for tokens in (500, 2000, 8000, 16000):
            runs = [self.ours("size", tokens, self.adapter, self.options.threads)[0] for _ in range(self.rounds)]
            seconds = statistics.median(run["seconds"] for run in runs)
            limit = statistics.median(run["limit_seconds"] for run in runs)
            last = runs[-1]
            print(f"{last['tokens']:8} {last['targets']:8} {seconds:8.2f} {last['tokens'] / seconds:9.0f} "
                  f"{100 * limit / seconds:12.0f}% {last['peak_mib']:5.0f} MiB")

    def compare_steps(self):
        measured = self.measure(self.steps())
        per_group = {name: m[0] / m[3]["groups"] for name, m in measured.items()}
        first = next(iter(per_group.values()))
        print(f"\nGRPO step: {REPLIES} replies of at most {STEP_TOKENS} tokens\n"
              f"{'':36}{'prompts':>9} {'seconds':>8} {'spread':>15} {'a prompt':>9} {'ours is':>8} {'memory':>9}")
        for name, (median, low, high, last) in measured.items():
            print(f"{name:36}{last['groups']:9} {median:8.2f} {f'{low:.2f} to {high:.2f}':>15} {per_group[name]:8.3f}s "
                  f"{per_group[name] / first:7.1f}x {last['peak_mib']:5.0f} MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--programs", type=lambda p: pathlib.Path(p).resolve(), default="build/release/bin")
    parser.add_argument("--sessions", type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument("--count", type=int, default=16, help="sessions in the update")
    parser.add_argument("--step-sessions", type=int, default=11, help="sessions in the GRPO step")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=["sizes", "steps", "updates"],
                        default=["sizes", "steps", "updates"])
    parser.add_argument("--prompt", type=lambda p: [pathlib.Path(p).resolve()], default=[],
                        help="a file of the system prompt of the update's contexts; else the shipped one")
    parser.add_argument("--sharing", nargs="*", choices=["prompt", "rows"], default=["prompt", "rows"],
                        help="how this program computes the update besides the session tree")
    parser.add_argument("--budget", type=lambda n: [int(n)], default=[], metavar="TOKENS",
                        help="tokens that a tree may have; else what training has")
    parser.add_argument("--peer-share", type=int, default=1, metavar="N",
                        help="the update's peer computes every Nth row; its seconds are scaled by tokens")
    parser.add_argument("--peer-type", choices=["bfloat16", "float32"], default="bfloat16",
                        help="float32 is the peers' faster one where the processor has no products of bfloat16")
    parser.add_argument("--probe", nargs="+", type=int, default=[1, 2, 4, 8, 16], metavar="ROWS",
                        help="micro-batches of which the update's peer takes the fastest")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda where the program was built for it")
    parser.add_argument("--model", type=lambda p: pathlib.Path(p).resolve(),
                        help="a Hugging Face folder; else the embedded model")
    parser.add_argument("--shape", choices=SHAPES, help="random weights of this shape; --model has the tokenizer")
    parser.add_argument("--peer-batch", type=int, default=64, metavar="ROWS", help="TRL's on a GPU")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="this program only")
    parser.add_argument("--job", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        job = json.load(sys.stdin)
        return {"random": write_random_model, "adapter": write_adapter, "naive": run_naive,
                "trl": run_trl}[job["kind"]](job)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, pathlib.Path(folder))
        for part in options.only:
            {"sizes": bench.measure_sizes, "steps": bench.compare_steps, "updates": bench.compare_updates}[part]()


if __name__ == "__main__":
    main()
