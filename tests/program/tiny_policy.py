"""Writes a policy model small enough to train in a second: random weights, one token a byte."""

import gguf
import numpy as np

WIDTH, MLP_WIDTH, LAYERS, HEADS, POSITIONS = 32, 64, 2, 4, 4096
SPECIALS = ["<|im_start|>", "<|im_end|>"]
CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def byte_symbols():
    """GPT-2's alphabet: a printable character for each byte."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = (byte for byte in range(256) if byte not in printable)
    shifted = {byte: 256 + place for place, byte in enumerate(others)}
    return [chr(shifted.get(byte, byte)) for byte in range(256)]


def shapes(vocabulary):
    yield "token_embd.weight", (vocabulary, WIDTH)
    yield "output_norm.weight", (WIDTH,)
    for block in range(LAYERS):
        name = f"blk.{block}."
        for norm in ("attn_norm", "ffn_norm"):
            yield f"{name}{norm}.weight", (WIDTH,)
        for matrix in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"{name}{matrix}.weight", (WIDTH, WIDTH)
        yield f"{name}ffn_gate.weight", (MLP_WIDTH, WIDTH)
        yield f"{name}ffn_up.weight", (MLP_WIDTH, WIDTH)
        yield f"{name}ffn_down.weight", (WIDTH, MLP_WIDTH)


def write_tiny_policy(path, rows_missing=0):
    tokens = [*byte_symbols(), "th", *SPECIALS]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(POSITIONS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(MLP_WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 257 + [3] * len(SPECIALS))
    writer.add_token_merges(["t h"])
    writer.add_chat_template(CHATML)
    random = np.random.default_rng(0)
    for name, shape in shapes(len(tokens) - rows_missing):
        values = random.normal(0, 0.1, shape) if len(shape) == 2 else np.ones(shape)
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
