#!/usr/bin/env python3
"""Writes tests/golden/published_gates: a state dict of SeerAttention-R gates as torch.save writes one, and its config.json.

usage: tools/make_gate_state_dict.py FOLDER

Needs no PyTorch: the format is a zip of one pickle and the raw storages; the classes the pickle names are made up here under
their real names. Like a module's state_dict() it is an OrderedDict with an attribute _metadata, in bfloat16.
Element i (C order) of the t-th tensor of layer l is ((7 i + 31 t + 17 l) mod 101 - 50) / 64, which bfloat16 holds exactly.
"""
import collections, io, json, pathlib, pickle, struct, sys, types, zipfile

LAYERS, KV_HEADS, GROUP, HEAD_DIM, DIM = 2, 2, 2, 32, 32

torch = types.ModuleType("torch")
torch._utils = types.ModuleType("torch._utils")
torch.BFloat16Storage = type("BFloat16Storage", (), {"__module__": "torch"})
def _rebuild_tensor_v2(): raise NotImplementedError
_rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
torch._utils._rebuild_tensor_v2 = _rebuild_tensor_v2
sys.modules.update({"torch": torch, "torch._utils": torch._utils})


class Storage:
    def __init__(self, key, values): self.key, self.values = str(key), values

    def bytes(self):  # bfloat16: the upper half of a float32
        return b"".join(struct.pack("<f", value)[2:] for value in self.values)


class Tensor:
    def __init__(self, storage, shape): self.storage, self.shape = storage, shape

    def __reduce__(self):
        strides, step = [], 1
        for extent in reversed(self.shape):
            strides.insert(0, step)
            step *= extent
        return _rebuild_tensor_v2, (self.storage, 0, tuple(self.shape), tuple(strides), False, collections.OrderedDict())


class Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        if not isinstance(obj, Storage): return None
        return "storage", torch.BFloat16Storage, obj.key, "cuda:0", len(obj.values)


def main(folder):
    shapes = {"linear_q": [KV_HEADS, GROUP, HEAD_DIM, DIM], "linear_k": [KV_HEADS, 3 * HEAD_DIM, DIM], "qnorm": [DIM], "knorm": [DIM]}
    state, storages = collections.OrderedDict(), []
    for layer in range(LAYERS):
        for t, (name, shape) in enumerate(shapes.items()):
            n = 1
            for extent in shape: n *= extent
            storages.append(Storage(len(storages), [((7 * i + 31 * t + 17 * layer) % 101 - 50) / 64 for i in range(n)]))
            state[f"model.layers.{layer}.self_attn.attn_gate.attngate_{name}.weight"] = Tensor(storages[-1], shape)
    state._metadata = collections.OrderedDict({"": {"version": 1}})

    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump(state)
    with zipfile.ZipFile(folder / "attn_gate_weights.pth", "w") as file:
        def add(name, data): file.writestr(zipfile.ZipInfo("attn_gate_weights/" + name), data)
        add("data.pkl", stream.getvalue())
        add("byteorder", "little")
        for storage in storages: add("data/" + storage.key, storage.bytes())
        add("version", "3\n")
    config = {"base_model": "Example/Tiny", "seerattn_gate_block_size": 64, "seerattn_gate_hidden_size": DIM,
              "seerattn_q_head_pooling_type": "Qproj", "seerattn_k_seq_pooling_type": "Kmaxminavg", "seerattn_use_qk_norm": True,
              "seerattn_use_rope": True, "seerattn_sparsity_method": "token_budget", "seerattn_token_budget": 4096,
              "seerattn_threshold": 0.0, "seerattn_start_layer": 0}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
