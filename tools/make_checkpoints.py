#!/usr/bin/env python3
"""Writes golden models again as Hugging Face checkpoints, to tests/golden/checkpoints/NAME/: what `longhaul convert` must turn
into the golden file again, tensor for tensor (tests/convert_test.cc).

    pip install numpy gguf
    tools/make_checkpoints.py [FOLDER]

`write_checkpoint` works on any GGUF file of these architectures, quantised ones too.
"""

import json
import struct
import sys
from pathlib import Path

import gguf
import numpy as np

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"

LAYER_NAMES = {
    "attn_norm.weight": "input_layernorm.weight", "ffn_norm.weight": "post_attention_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight", "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight", "attn_output.weight": "self_attn.o_proj.weight",
    "attn_q.bias": "self_attn.q_proj.bias", "attn_k.bias": "self_attn.k_proj.bias", "attn_v.bias": "self_attn.v_proj.bias",
    "attn_q_norm.weight": "self_attn.q_norm.weight", "attn_k_norm.weight": "self_attn.k_norm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight", "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
GEMMA_NAMES = {
    "post_attention_norm.weight": "post_attention_layernorm.weight", "ffn_norm.weight": "pre_feedforward_layernorm.weight",
    "post_ffw_norm.weight": "post_feedforward_layernorm.weight",
}
SAMBAY_NAMES = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "ffn_up": "mlp.fc1", "ffn_down": "mlp.fc2",
    "attn_qkv": "attn.Wqkv", "attn_output": "attn.out_proj", "attn_subln": "attn.inner_cross_attn.subln", "ssm_in": "attn.in_proj",
    "ssm_conv1d": "attn.conv1d", "ssm_x": "attn.x_proj", "ssm_dt": "attn.dt_proj", "ssm_out": "attn.out_proj",
    "gmu_in": "attn.in_proj", "gmu_out": "attn.out_proj",
}
END_NAMES = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
             "output.weight": "lm_head.weight"}


def published_name(name, arch):
    if not name.startswith("blk."):
        return END_NAMES[name].replace("norm", "final_layernorm") if arch == "phi4flash" and name in END_NAMES else END_NAMES.get(
            name, "model.final_layernorm.bias")
    _, layer, part = name.split(".", 2)
    if arch == "phi4flash":
        whole, _, end = part.partition(".")
        short = {"ssm_a": "attn.A_log", "ssm_d": "attn.D"}.get(whole)
        if whole.startswith("attn_lambda_"):
            short = "attn.inner_cross_attn." + whole[5:]
        return f"model.layers.{layer}.{short or SAMBAY_NAMES[whole] + '.' + end}"
    names = {**LAYER_NAMES, **GEMMA_NAMES} if arch == "gemma3" else LAYER_NAMES
    return f"model.layers.{layer}.{names[part]}"


def halves(matrix, n_heads):
    """Rows of each head from RoPE's pairs side by side to first members before second ones."""
    per_head = matrix.reshape(n_heads, matrix.shape[0] // n_heads // 2, 2, matrix.shape[1])
    return per_head.transpose(0, 2, 1, 3).reshape(matrix.shape)


def by_turns(rows, n_q, n_k, head_dim):
    """Heads of q and of k that stand the even ones first, each behind the one before it again; what follows stays."""
    heads = rows.reshape(len(rows) // head_dim, head_dim, *rows.shape[1:])
    turn = lambda first, n: heads[first:first + n].reshape(2, n // 2, *heads.shape[1:]).swapaxes(0, 1).reshape(n, *heads.shape[1:])
    n_k = n_k if len(heads) > n_q else 0
    return np.concatenate([turn(0, n_q), turn(n_q, n_k), heads[n_q + n_k:]] if n_k else [turn(0, n_q)]).reshape(rows.shape)


def read_tensors(reader, arch, n_heads, n_kv_heads, head_dim, kind):
    """Published name -> (type name, array of the bytes as stored)."""
    tensors = {}
    for t in reader.tensors:
        if t.name == "rope_freqs.weight":
            continue
        values = gguf.dequantize(t.data, t.tensor_type) if t.tensor_type.name not in ("F32", "F16") else t.data
        values = np.array(values).reshape([int(n) for n in reversed(t.shape)])
        if arch == "llama" and t.name.endswith(("attn_q.weight", "attn_k.weight")):
            values = halves(values, n_heads if "attn_q" in t.name else n_kv_heads)
        if arch == "gemma3" and "norm" in t.name:
            values = values - np.float32(1)
        if "attn_qkv" in t.name:
            values = by_turns(values, n_heads, n_kv_heads, head_dim)
        if t.name.endswith("ssm_a"):
            values = np.log(-values)
        if "ssm_conv1d.weight" in t.name:
            values = values[:, None, :]
        stored = kind or (t.tensor_type.name if t.tensor_type.name in ("F32", "F16", "BF16") else "F16")
        if values.ndim == 1:
            stored = "F32"
        if stored == "BF16":  # exact where the file had BF16, otherwise rounded towards zero
            data = (np.ascontiguousarray(values, np.float32).view(np.uint32) >> 16).astype(np.uint16)
        else:
            data = np.ascontiguousarray(values, {"F32": np.float32, "F16": np.float16}[stored])
        tensors[published_name(t.name, arch)] = (stored, data)
    return tensors


def write_safetensors(path, tensors):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (kind, data) in tensors.items():
        header[name] = {"dtype": kind, "shape": list(data.shape), "data_offsets": [at, at + data.nbytes]}
        at += data.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for _, data in tensors.values():
            out.write(data.tobytes())


def write_weights(folder, tensors, n_shards):
    if n_shards == 1:
        return write_safetensors(folder / "model.safetensors", tensors)
    names, weight_map = list(tensors), {}
    for i in range(n_shards):
        file = f"model-{i + 1:05}-of-{n_shards:05}.safetensors"
        part = names[i::n_shards]
        write_safetensors(folder / file, {name: tensors[name] for name in part})
        weight_map.update({name: file for name in part})
    total = sum(data.nbytes for _, data in tensors.values())
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}, indent=1))


def scaling(get):
    """`rope_scaling`; llama3's numbers are those of tools/tiny_gguf.py."""
    kind, factor = get("rope.scaling.type", "none"), get("rope.scaling.factor", 1.0)
    if kind == "none":
        return None
    if kind == "linear":
        return {"rope_type": "linear", "factor": factor}
    return {"type": kind, "factor": factor, "original_max_position_embeddings": get("rope.scaling.original_context_length")}


def write_sambay_config(folder, get):
    config = {
        "architectures": ["Phi4FlashForCausalLM"], "model_type": "phi4flash", "hidden_size": get("embedding_length"),
        "intermediate_size": get("feed_forward_length"), "num_hidden_layers": get("block_count"),
        "num_attention_heads": get("attention.head_count"), "num_key_value_heads": get("attention.head_count_kv"),
        "head_dim": get("attention.key_length"), "max_position_embeddings": get("context_length"),
        "layer_norm_eps": float(f"{get('attention.layer_norm_epsilon'):.6g}"), "sliding_window": get("sliding_window"),
        "hidden_act": "silu", "mb_per_layer": 2, "mamba_d_state": get("ssm_d_state"), "mamba_d_conv": get("ssm_d_conv"),
        "mamba_expand": get("ssm_expand"), "mamba_dt_rank": get("ssm_dt_rank"), "tie_word_embeddings": True,
        "vocab_size": len(get("tokenizer.ggml.tokens")), "eos_token_id": get("tokenizer.ggml.eos_token_id"),
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1))


def write_config(folder, arch, get, names, has_factors):
    heads, d_model = get("attention.head_count"), get("embedding_length")
    if arch == "phi4flash":
        return write_sambay_config(folder, get)
    classes = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3", "gemma3": "Gemma3"}
    config = {
        "architectures": [classes[arch] + "ForCausalLM"], "model_type": "gemma3_text" if arch == "gemma3" else arch,
        "hidden_size": d_model, "intermediate_size": get("feed_forward_length"), "num_hidden_layers": get("block_count"),
        "num_attention_heads": heads, "num_key_value_heads": get("attention.head_count_kv"),
        "head_dim": get("attention.key_length", d_model // heads), "max_position_embeddings": get("context_length"),
        "rms_norm_eps": float(f"{get('attention.layer_norm_rms_epsilon'):.6g}"), "rope_theta": get("rope.freq_base", 1e4),
        "rope_scaling": scaling(get), "tie_word_embeddings": "lm_head.weight" not in names,
        "vocab_size": len(get("tokenizer.ggml.tokens")), "attention_bias": arch == "qwen2",
        "eos_token_id": get("tokenizer.ggml.eos_token_id"),
    }
    if has_factors:
        config["rope_scaling"] = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                  "original_max_position_embeddings": 128}
    if arch == "gemma3":
        config |= {"hidden_activation": "gelu_pytorch_tanh", "sliding_window": get("attention.sliding_window"),
                   "sliding_window_pattern": 6, "query_pre_attn_scalar": config["head_dim"],
                   "rope_local_base_freq": get("rope.freq_base_swa", 1e4)}
    else:
        config["hidden_act"] = "silu"
    if arch == "qwen2":
        config |= {"use_sliding_window": False, "sliding_window": 64, "max_window_layers": 0}
    (folder / "config.json").write_text(json.dumps(config, indent=1))


PIECES = {"gpt-2": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}}
PIECES["smollm"] = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, PIECES["gpt-2"]]}
PIECES["starcoder"] = PIECES["smollm"]
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
for kind, pattern in (("qwen2", QWEN2), ("llama-bpe", QWEN2.replace(r"\p{N}| ?", r"\p{N}{1,3}| ?"))):
    PIECES[kind] = {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
        {**PIECES["gpt-2"], "use_regex": False}]}


def spm_merges(tokens, types, scores):
    """All pairs that make a token, those of the highest score first."""
    ids = {t: i for i, t in enumerate(tokens) if types[i] in (1, 4)}
    pairs = [(-scores[i], ids[t[:k]], ids[t[k:]], [t[:k], t[k:]]) for t, i in ids.items() if types[i] == 1
             for k in range(1, len(t)) if t[:k] in ids and t[k:] in ids]
    return [pair for *_, pair in sorted(pairs)]


def write_tokenizer(folder, get, as_pairs):
    tokens, types = get("tokenizer.ggml.tokens"), get("tokenizer.ggml.token_type")
    spm = get("tokenizer.ggml.model") == "llama"
    merges = spm_merges(tokens, types, get("tokenizer.ggml.scores")) if spm else get("tokenizer.ggml.merges")
    if not spm and as_pairs:
        merges = [m.split(" ") for m in merges]
    model = {"type": "BPE", "byte_fallback": spm, "ignore_merges": get("tokenizer.ggml.pre", "") == "llama-bpe", "merges": merges,
             "vocab": {t: i for i, t in enumerate(tokens) if types[i] not in (3, 4, 5) or spm and types[i] != 5}}
    added = [{"id": i, "content": t, "special": types[i] == 3, "normalized": False, "lstrip": False, "rstrip": False,
              "single_word": False} for i, t in enumerate(tokens) if types[i] in (3, 4)]
    blanks = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    if get("tokenizer.ggml.add_space_prefix", True):
        blanks = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, blanks]}
    whole = {"version": "1.0", "added_tokens": added, "normalizer": blanks if spm else None, "model": model,
             "pre_tokenizer": None if spm else PIECES[get("tokenizer.ggml.pre")],
             "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}}
    if spm:
        model["unk_token"] = tokens[get("tokenizer.ggml.unknown_token_id")]
        whole["decoder"] = {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]}
    (folder / "tokenizer.json").write_text(json.dumps(whole, ensure_ascii=False))
    config = {"add_bos_token": get("tokenizer.ggml.add_bos_token", spm)}
    for name, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding")):
        token = get(f"tokenizer.ggml.{key}_token_id", -1)
        config[f"{name}_token"] = None if token < 0 else tokens[token]
    if get("tokenizer.chat_template", ""):
        config["chat_template"] = get("tokenizer.chat_template")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))


def write_checkpoint(source, folder, n_shards=1, as_pairs=False, kind=None):
    """The GGUF file `source` as a checkpoint. `kind`: the type of its matrices, where the file's own shall not do."""
    reader = gguf.GGUFReader(source)
    folder.mkdir(parents=True, exist_ok=True)
    read = lambda key, *default: reader.get_field(key).contents() if reader.get_field(key) or not default else default[0]
    arch = read("general.architecture")
    get = lambda key, *default: read(key if key.startswith("tokenizer.") else f"{arch}.{key}", *default)
    tensors = read_tensors(reader, arch, get("attention.head_count"), get("attention.head_count_kv"),
                           get("attention.key_length", get("embedding_length") // get("attention.head_count")), kind)
    write_config(folder, arch, get, tensors, any(t.name == "rope_freqs.weight" for t in reader.tensors))
    write_tokenizer(folder, get, as_pairs)
    write_weights(folder, tensors, n_shards)


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN / "checkpoints"
    for name, how in (("llama-f32", {}), ("llama-f16-llama3", {}), ("llama-bf16-linear", {"as_pairs": True}),
                      ("qwen2-f16-yarn", {}), ("qwen3-f16", {"n_shards": 2}), ("gemma3-f16-linear", {}),
                      ("phi4flash-f16", {})):
        write_checkpoint(GOLDEN / f"{name}.gguf", root / name, **how)


if __name__ == "__main__":
    main()
