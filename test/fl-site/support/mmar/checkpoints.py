"""Files of torch.save: {name: (class of the storage, shape, bytes)}. By PyTorch when STAND_IN_TORCH is set, else with pickle and zip."""
import array
import collections
import os
import pickle
import sys
import types
import zipfile

WITH_TORCH = "STAND_IN_TORCH" in os.environ


def moved(weights, delta):
    def of(kind, shape, data):
        if kind != "FloatStorage":
            return kind, shape, data
        values = array.array("f", data)
        return kind, shape, array.array("f", [value + delta for value in values]).tobytes()

    if WITH_TORCH:
        return {name: value + delta if value.is_floating_point() else value for name, value in weights.items()}
    return {name: of(*tensor) for name, tensor in weights.items()}


def load(path):
    if WITH_TORCH:
        import torch

        return torch.load(path, map_location="cpu")["model"]
    archive = zipfile.ZipFile(path)
    pickled = next(name for name in archive.namelist() if name.endswith("/data.pkl"))

    class Unpickler(pickle.Unpickler):
        def find_class(self, module, name):
            if module == "collections":
                return collections.OrderedDict
            return name if module == "torch" else lambda storage, offset, shape, *rest: (storage[0], shape, storage[1])

        def persistent_load(self, saved):
            _, kind, key, place, count = saved
            assert place == "cpu"
            return kind, archive.read(pickled.replace("data.pkl", "data/" + key))

    return dict(Unpickler(archive.open(pickled)).load()["model"])


def save(path, weights):
    if WITH_TORCH:
        import torch

        state = collections.OrderedDict(weights)
        # Of the forms that a network's weights may have: a parameter in another order of axes.
        for name, value in state.items():
            if value.dim() == 5:
                state[name] = torch.nn.Parameter(value.to(memory_format=torch.channels_last_3d))
        torch.save({"model": state, "optimizer": {"step": torch.tensor(3)}, "lr_scheduler": types.SimpleNamespace(last=3)}, path)
        return
    # pickle writes a name only for what it finds under that name.
    torch = sys.modules["torch"] = types.ModuleType("torch")
    utils = sys.modules["torch._utils"] = types.ModuleType("torch._utils")

    def _rebuild_tensor_v2():
        pass

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2

    class Stored:
        def __init__(self, kind, key, count):
            self.saved = ("storage", kind_of(kind), key, "cpu", count)

    def kind_of(kind):
        if not hasattr(torch, kind):
            setattr(torch, kind, type(kind, (), {"__module__": "torch"}))
        return getattr(torch, kind)

    class Tensor:
        def __init__(self, storage, shape):
            self.storage, self.shape = storage, shape

        def __reduce__(self):
            strides, count = [], 1
            for n in reversed(self.shape):
                strides.insert(0, count)
                count *= n
            return _rebuild_tensor_v2, (self.storage, 0, tuple(self.shape), tuple(strides), False, collections.OrderedDict())

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            return thing.saved if isinstance(thing, Stored) else None

    state = collections.OrderedDict()
    with zipfile.ZipFile(path, "w") as archive:
        for key, (name, (kind, shape, data)) in enumerate(weights.items()):
            count = 1
            for n in shape:
                count *= n
            state[name] = Tensor(Stored(kind, str(key), count), shape)
            archive.writestr("final_model/data/%d" % key, data)
        with archive.open("final_model/data.pkl", "w") as stream:
            Pickler(stream, 2).dump({"model": state, "optimizer": {"state": {}}, "lr_scheduler": set()})
        archive.writestr("final_model/version", "3\n")
