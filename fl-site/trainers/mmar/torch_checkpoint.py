"""PyTorch checkpoints and safetensors without PyTorch: the weights of one as the other, piece by piece.

A checkpoint of torch.save is a zip: a pickle, `NAME/data.pkl`, which describes tensors, and one file of bytes for each of their
storages, `NAME/data/KEY` (PyTorch, "Serialization semantics"). A pickle may name any function to be called. Here only those that
describe tensors are known; all others become objects that do nothing, so that a checkpoint of somebody else runs no code.
"""
import collections
import io
import itertools
import json
import os
import pickle
import struct
import zipfile

PIECE = 1 << 20
MAX_PICKLE_BYTES = 64 << 20
MAX_HEADER_BYTES = 64 << 20
MAX_TENSORS = 100000

# safetensors' name of a type, torch's class of its storages, bytes of an element
TYPES = [
    ("F64", "DoubleStorage", 8), ("F32", "FloatStorage", 4), ("F16", "HalfStorage", 2), ("BF16", "BFloat16Storage", 2),
    ("I64", "LongStorage", 8), ("I32", "IntStorage", 4), ("I16", "ShortStorage", 2), ("I8", "CharStorage", 1),
    ("U8", "ByteStorage", 1), ("BOOL", "BoolStorage", 1),
]
BY_STORAGE = {storage: (name, width) for name, storage, width in TYPES}
BY_NAME = {name: (storage, width) for name, storage, width in TYPES}


class BadModel(Exception):
    """A file that is no model, or not the one that is asked for; the message says what is wrong."""


class Tensor:
    """Where the elements of a tensor are: `offset` and `strides` count elements of a storage."""

    def __init__(self, storage, offset, shape, strides):
        kind, self.key, self.stored = storage
        self.dtype, self.width = BY_STORAGE[kind]
        self.offset, self.shape, self.strides = int(offset), tuple(map(int, shape)), tuple(map(int, strides))
        if self.offset < 0 or len(self.shape) != len(self.strides) or min((0,) + self.shape + self.strides) < 0:
            raise BadModel("a tensor of the checkpoint has no possible shape")
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides))
        if self.count and last >= self.stored:
            raise BadModel("a tensor of the checkpoint lies outside of its storage")

    @property
    def count(self):
        count = 1
        for n in self.shape:
            count *= n
        return count

    @property
    def is_contiguous(self):
        expected = 1
        for n, stride in reversed(list(zip(self.shape, self.strides))):
            if n != 1 and stride != expected:
                return False
            expected *= n
        return True


class Inert:
    """Stands for an object that is not weights: optimiser, configuration. Takes everything, does nothing."""

    def __init__(self, *_args, **_named):
        pass

    def __call__(self, *_args, **_named):
        return self

    def __setstate__(self, _state):
        pass

    def __setitem__(self, _key, _value):
        pass

    def append(self, _item):
        pass

    def extend(self, _items):
        pass


class WeightsUnpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_rest: Tensor(storage, offset, shape, strides)
        if module == "torch._utils" and name == "_rebuild_parameter":
            return lambda tensor, *_rest: tensor
        if module in ("torch", "torch.storage") and name in BY_STORAGE:
            return name
        if (module, name) == ("torch", "Size"):
            return tuple
        return Inert

    def persistent_load(self, saved):
        if not isinstance(saved, tuple) or len(saved) < 5 or saved[0] != "storage" or saved[1] not in BY_STORAGE:
            raise BadModel("the checkpoint holds a storage of an unknown type")
        return saved[1], str(saved[2]), int(saved[4])


class Checkpoint:
    """The weights of a file of torch.save: of a state dict, or of a dict that has one under `model` or `state_dict`."""

    def __init__(self, path):
        try:
            self.zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise BadModel("%s is no checkpoint of torch.save since PyTorch 1.6 (%s)" % (os.path.basename(path), error))
        entries = [entry for entry in self.zip.infolist() if entry.filename.split("/")[1:] == ["data.pkl"]]
        if len(entries) != 1 or entries[0].file_size > MAX_PICKLE_BYTES:
            raise BadModel("%s has no data.pkl that could be read" % os.path.basename(path))
        self.top = entries[0].filename.split("/")[0]
        try:
            with self.zip.open(entries[0]) as stream:
                content = WeightsUnpickler(io.BytesIO(stream.read(MAX_PICKLE_BYTES))).load()
        except BadModel:
            raise
        except Exception as error:  # A damaged pickle fails in as many ways as there are.
            raise BadModel("%s cannot be read (%s)" % (os.path.basename(path), type(error).__name__))
        for key in ("model", "state_dict"):
            if isinstance(content, dict) and isinstance(content.get(key), dict):
                content = content[key]
        if not isinstance(content, dict):
            raise BadModel("%s holds no weights by name" % os.path.basename(path))
        self.tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        if not 0 < len(self.tensors) <= MAX_TENSORS:
            raise BadModel("%s holds %d tensors" % (os.path.basename(path), len(self.tensors)))
        # Written by data-parallel training.
        if all(name.startswith("module.") for name in self.tensors):
            self.tensors = {name[len("module."):]: value for name, value in self.tensors.items()}

    def pieces(self, name):
        """The tensor's elements, little-endian, the last axis fastest."""
        tensor = self.tensors[name]
        try:
            with self.zip.open("%s/data/%s" % (self.top, tensor.key)) as stream:
                if tensor.is_contiguous:
                    skip(stream, tensor.offset * tensor.width)
                    yield from exactly(stream, tensor.count * tensor.width)
                else:
                    yield gathered(tensor, stream.read(tensor.stored * tensor.width))
        except (KeyError, EOFError, zipfile.BadZipFile) as error:
            raise BadModel("the checkpoint lacks elements of %s (%s)" % (name, error))


def gathered(tensor, stored):
    """Elements of a tensor that lies in another order, such as channels last."""
    steps = [range(0, n * s, s) if s else [0] * n for n, s in zip(tensor.shape, tensor.strides)]
    out, width = bytearray(), tensor.width
    for where in itertools.product(*steps):
        at = (tensor.offset + sum(where)) * width
        out += stored[at:at + width]
    if len(out) != tensor.count * width:
        raise EOFError("cut")
    return bytes(out)


class Safetensors:
    """A file of safetensors: `{name: (dtype, shape, begin, end)}`, the bytes of which are read when asked for."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as stream:
            head = stream.read(8)
            length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
            if not 2 <= length <= MAX_HEADER_BYTES:
                raise BadModel("%s is no file of safetensors" % os.path.basename(path))
            try:
                header = json.loads(stream.read(length).decode("utf-8"))
                header.pop("__metadata__", None)
                self.tensors = {
                    name: (t["dtype"], tuple(t["shape"]), 8 + length + t["data_offsets"][0], 8 + length + t["data_offsets"][1])
                    for name, t in header.items()
                }
            except (ValueError, KeyError, TypeError, IndexError, AttributeError):
                raise BadModel("%s has a header that cannot be read" % os.path.basename(path))
        if any(end > os.path.getsize(path) or begin > end for _, _, begin, end in self.tensors.values()):
            raise BadModel("%s is cut" % os.path.basename(path))

    def pieces(self, name):
        _, _, begin, end = self.tensors[name]
        with open(self.path, "rb") as stream:
            stream.seek(begin)
            yield from exactly(stream, end - begin)


def exactly(stream, count):
    while count > 0:
        piece = stream.read(min(PIECE, count))
        if not piece:
            raise EOFError("cut")
        count -= len(piece)
        yield piece


def skip(stream, count):
    for _ in exactly(stream, count):
        pass


def write_safetensors(path, checkpoint, names):
    """Writes the named tensors in that order; the file is there whole or not at all."""
    header, at = {}, 0
    for name in names:
        tensor = checkpoint.tensors[name]
        end = at + tensor.count * tensor.width
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)

    def content(stream):
        stream.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            for piece in checkpoint.pieces(name):
                stream.write(piece)

    write_whole(path, content)


def write_checkpoint(path, model):
    """Writes safetensors as torch.save({"model": state_dict}) would; the file is there whole or not at all."""
    unknown = sorted({dtype for dtype, _, _, _ in model.tensors.values() if dtype not in BY_NAME})
    if unknown:
        raise BadModel("the global model has tensors of type %s, for which this program knows no storage" % ", ".join(unknown))

    def content(stream):
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            archive.writestr("model/data.pkl", pickled(model))
            for key, name in enumerate(model.tensors):
                with archive.open(zipfile.ZipInfo("model/data/%d" % key), "w", force_zip64=True) as entry:
                    for piece in model.pieces(name):
                        entry.write(piece)
            archive.writestr("model/version", b"3\n")

    write_whole(path, content)


def pickled(model):
    """{"model": OrderedDict(name -> tensor)} in protocol 2, by hand: pickle writes no function that is not there."""
    ordered = b"ccollections\nOrderedDict\n)R"
    out = [b"\x80\x02}", text_of("model"), ordered, b"("]
    for key, (name, (dtype, shape, _, _)) in enumerate(model.tensors.items()):
        storage, _ = BY_NAME[dtype]
        count, strides = 1, []
        for n in reversed(shape):
            strides.insert(0, count)
            count *= n
        out += [text_of(name), b"ctorch._utils\n_rebuild_tensor_v2\n(("]
        out += [text_of("storage"), b"ctorch\n%s\n" % storage.encode(), text_of(str(key)), text_of("cpu"), whole(count), b"tQ"]
        out += [whole(0), tuple_of(shape), tuple_of(strides), b"\x89", ordered, b"tR"]
    return b"".join(out + [b"us."])


def text_of(text):
    encoded = text.encode("utf-8")
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def whole(number):
    return b"J" + struct.pack("<i", number) if number < 1 << 31 else b"\x8a\x08" + struct.pack("<q", number)


def tuple_of(numbers):
    return b"(" + b"".join(map(whole, numbers)) + b"t"


def write_whole(path, content):
    partial = "%s.partial-%d" % (path, os.getpid())
    try:
        with open(partial, "wb") as stream:
            content(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)
