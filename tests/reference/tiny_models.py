"""Small random models of every architecture, and what transformers and peft make of them.

tiny_models.py write FOLDER             FOLDER/NAME/: config.json and safetensors of each;
                                        FOLDER/NAME.gguf: the same where GGUF can say it
tiny_models.py run FOLDER ROWS.json     FOLDER/NAME/expected.safetensors: for each row "logits.I" and
                                        "greedy.I", the 64 ids that follow it; and the gradients of
                                        the adapter in FOLDER/NAME/adapter and, "gradient.NAME", of
                                        every weight (logits.py)

The shapes are those that engines get wrong: odd head counts, heads wider than width / heads, 1 to 8
queries a key, windows that rows cross, rotary scaling past the trained length.
"""

import json
import math
import pathlib
import sys

import gguf
import torch
import transformers
from safetensors.torch import save_file

from logits import gradients, greedy, load, outputs

SHAPE = dict(
    vocab_size=101,
    hidden_size=48,
    intermediate_size=80,
    num_hidden_layers=3,
    num_attention_heads=6,
    num_key_value_heads=2,
    max_position_embeddings=4096,
    bos_token_id=None,
    eos_token_id=None,
    pad_token_id=None,
)
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
LINEAR = {"rope_type": "linear", "rope_theta": 500000.0, "factor": 4.0}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
    "beta_fast": 8.0,
}
YARN_MORE = YARN | {"factor": 6.0, "mscale": 1.5, "mscale_all_dim": 0.5, "truncate": False}
GEMMA_ROPE = {
    "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
}

# Name, configuration class, what differs from SHAPE, element type, bytes a file.
MODELS = [
    ("llama", "Llama", dict(tie_word_embeddings=True), "float32", None),
    ("llama-odd", "Llama",
     dict(num_attention_heads=3, num_key_value_heads=3, head_dim=20), "bfloat16", "30KB"),
    ("llama3-long", "Llama", dict(rope_parameters=LLAMA3), "float16", None),
    ("llama-linear", "Llama", dict(rope_parameters=LINEAR), "float32", "20KB"),
    ("llama-yarn", "Llama", dict(head_dim=24, rope_parameters=YARN), "float32", None),
    ("mistral", "Mistral",
     dict(num_attention_heads=8, num_key_value_heads=1, head_dim=6, sliding_window=None),
     "float32", None),
    ("mistral-window", "Mistral",
     dict(num_attention_heads=8, num_key_value_heads=1, sliding_window=7), "float32", None),
    ("qwen2", "Qwen2", dict(tie_word_embeddings=True), "float32", None),
    ("qwen2-yarn", "Qwen2",
     dict(hidden_size=96, num_attention_heads=4, rope_parameters=YARN_MORE), "float32", None),
    ("qwen2-window", "Qwen2",
     dict(use_sliding_window=True, sliding_window=9, max_window_layers=1), "bfloat16", None),
    ("qwen3", "Qwen3", dict(head_dim=16, num_attention_heads=3, num_key_value_heads=3),
     "float32", None),
    ("qwen3-gqa", "Qwen3", dict(head_dim=10, num_key_value_heads=1, tie_word_embeddings=True),
     "float32", None),
    ("gemma3", "Gemma3Text",
     dict(head_dim=12, num_hidden_layers=7, sliding_window=6, query_pre_attn_scalar=20,
          rope_parameters=GEMMA_ROPE), "float32", None),
    ("gemma3-cap", "Gemma3Text",
     dict(head_dim=8, num_hidden_layers=7, sliding_window=5, query_pre_attn_scalar=8,
          final_logit_softcapping=3.0, rope_parameters=GEMMA_ROPE), "float32", None),
]


GGUF_ARCHITECTURES = {"Llama": "llama", "Mistral": "llama", "Qwen2": "qwen2", "Qwen3": "qwen3",
                      "Gemma3Text": "gemma3"}


def llama3_divisors(config, rope):
    """As llama.cpp's converter has them: by how much each frequency is divided."""
    for i in range(config.head_dim // 2):
        wavelength = 2 * math.pi * rope["rope_theta"] ** (2 * i / config.head_dim)
        turns = rope["original_max_position_embeddings"] / wavelength
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        share = min(max((turns - low) / (high - low), 0), 1)
        yield 1 / ((1 - share) / rope["factor"] + share)


def pair_neighbours(weight, heads):
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def write_gguf(model, architecture, path):
    config = model.config
    rope = config.rope_parameters
    rope = rope.get("full_attention", rope)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_key_length(head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
    if rope["rope_type"] == "llama3":
        divisors = torch.tensor(list(llama3_divisors(config, rope)), dtype=torch.float32)
        writer.add_tensor("rope_freqs.weight", divisors.numpy())
    if getattr(config, "sliding_window", None):
        writer.add_sliding_window(config.sliding_window)
    if getattr(config, "final_logit_softcapping", None):
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture.upper()], config.num_hidden_layers)
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        weight = weight.float().numpy()
        if architecture == "llama" and ".q_proj." in name:
            weight = pair_neighbours(weight, config.num_attention_heads)
        if architecture == "llama" and ".k_proj." in name:
            weight = pair_neighbours(weight, config.num_key_value_heads)
        if architecture == "gemma3" and name.endswith("norm.weight"):
            weight = weight + 1
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write(folder):
    for seed, (name, kind, changes, dtype, shard) in enumerate(MODELS):
        torch.manual_seed(seed)
        config = getattr(transformers, kind + "Config")(**{**SHAPE, **changes})
        model = transformers.AutoModelForCausalLM.from_config(config)
        for parameter in model.parameters():
            # Biases and norms start as constants, which would hide that they are left out.
            if parameter.dim() == 1:
                parameter.data.add_(torch.rand_like(parameter) - 0.5)
            else:
                parameter.data.normal_(0, parameter.shape[1] ** -0.5)
        model = model.to(getattr(torch, dtype))
        options = {"max_shard_size": shard} if shard else {}
        model.save_pretrained(folder / name, **options)
        # GGUF cannot say which layers have a window, nor that scores are not divided by the root of
        # head_dim, nor all of yarn.
        if name not in ("qwen2-window", "qwen2-yarn", "gemma3"):
            write_gguf(model, GGUF_ARCHITECTURES[kind], folder / f"{name}.gguf")


def run(folder, rows):
    for name, *_ in MODELS:
        path = folder / name
        model = load(path)
        continued = greedy(model, rows)
        of_weights = {f"gradient.{name}": x for name, x in gradients(load(path), rows).items()}
        expected = outputs(model, rows, path / "adapter")
        save_file({**expected, **continued, **of_weights}, path / "expected.safetensors")


def main():
    what, folder, *rest = sys.argv[1:]
    torch.set_num_threads(2)
    transformers.logging.set_verbosity_error()
    if what == "write":
        write(pathlib.Path(folder))
    else:
        run(pathlib.Path(folder), json.loads(pathlib.Path(rest[0]).read_text()))


if __name__ == "__main__":
    main()
