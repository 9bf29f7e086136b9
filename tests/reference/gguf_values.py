"""Writes what the weights' tests compare with, by the gguf and safetensors packages.

usage: gguf_values.py small FOLDER    small.gguf with every element type, and its values in
                                      small.safetensors
       gguf_values.py hashes GGUF     a line "NAME SHA256-of-the-float-values" a tensor
       gguf_values.py reread FILE OUT reads safetensors FILE and writes it again
       gguf_values.py quantize FILE OUT  the tensor "x" of safetensors FILE in each type that we
                                      write, in GGUF file OUT
       gguf_values.py metadata GGUF   a line "KEY JSON" a metadata value
"""

import hashlib
import json
import sys

import gguf
import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

NAMES = "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K"
np.seterr(all="ignore")  # scales that are no numbers are among the bit patterns
TYPES = [gguf.GGMLQuantizationType[name] for name in NAMES.split()]


def blocks(rng, kind, rows, columns):
    """Random bytes as blocks of `kind`: every bit pattern that a file may hold."""
    values, size = gguf.GGML_QUANT_SIZES[kind]
    return rng.integers(0, 256, (rows, columns // values * size), dtype=np.uint8)


def small(folder):
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(folder + "/small.gguf", "llama")
    writer.add_uint32("test.u32", 7)
    writer.add_int64("test.i64", -7)
    writer.add_float32("test.f32", 0.5)
    writer.add_bool("test.bool", True)
    writer.add_string("test.text", "Gr\u00fc\u00dfe")
    writer.add_array("test.texts", ["a", "", "\u4e2d"])
    writer.add_array("test.ints", [1, -2, 3])
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    halves = halves[~np.isnan(halves)].reshape(2, -1)
    values = {"every.half": (halves, gguf.GGMLQuantizationType.F16)}
    for kind in TYPES:
        data = blocks(rng, kind, 48, 512)
        if kind in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16):
            data = rng.standard_normal((48, 512)).astype(np.float32 if kind == TYPES[0] else np.float16)
        values["t." + kind.name.lower()] = (data, kind)
    expected = {}
    for name, (data, kind) in values.items():
        writer.add_tensor(name, data, raw_dtype=kind)
        expected[name] = np.ascontiguousarray(gguf.dequantize(data, kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(expected, folder + "/small.safetensors", {"format": "np"})


def hashes(path):
    for tensor in gguf.GGUFReader(path).tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        print(tensor.name, hashlib.sha256(values.tobytes()).hexdigest())


def reread(path, out):
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    save_file(load_file(path), out, metadata)


def quantize(path, out):
    writer = gguf.GGUFWriter(out, "llama")
    values = load_file(path)["x"]
    for name in ("F32", "F16", "BF16", "Q8_0"):
        kind = gguf.GGMLQuantizationType[name]
        writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def metadata(path):
    for name, field in gguf.GGUFReader(path).fields.items():
        kinds = "/".join(kind.name for kind in field.types)
        print(name, kinds, json.dumps(field.contents()))


{"small": small, "hashes": hashes, "reread": reread, "quantize": quantize, "metadata": metadata}[sys.argv[1]](*sys.argv[2:])
