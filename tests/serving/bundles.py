"""Tiny bundles with real graphs, made as `workbench.training.export` makes them; no torch."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from onnx import TensorProto, checker, helper

from workbench.core.errors import StateError
from workbench.core.files import write_json
from workbench.core.paths import Paths
from workbench.core.records import VERSION, Column, Signature
from workbench.registry.signing import sign
from workbench.storage.bundle import seal
from workbench.storage.pointer import Pointer, Target, read_pointer, write_pointer

FLOAT, INT64, STRING, UINT8 = (
    TensorProto.FLOAT,
    TensorProto.INT64,
    TensorProto.STRING,
    TensorProto.UINT8,
)
FILMS = ("Alien", "Brazil", "Casablanca")


def fraud(folder: Path, *, weight: float = 0.01, threshold: float = 0.6) -> Path:
    """Three kinds of columns to a probability: score = sigmoid(weight * amount + code - 1)."""
    nodes = [
        helper.make_node("IsNaN", ["amount"], ["no_amount"]),
        helper.make_node("Where", ["no_amount", "zero", "amount"], ["known"]),
        helper.make_node("Mul", ["known", "weight"], ["weighed"]),
        _encoder("country", "codes", ("de", "fr")),
        helper.make_node("Cast", ["codes"], ["coded"], to=FLOAT),
        helper.make_node("Cast", ["paid_at"], ["moment"], to=FLOAT),
        helper.make_node("Mul", ["moment", "zero"], ["nothing"]),
        helper.make_node("Sum", ["weighed", "coded", "nothing", "bias"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["score"]),
    ]
    inputs = [("amount", FLOAT, ["n"]), ("country", STRING, ["n"]), ("paid_at", INT64, ["n"])]
    constants = {"zero": 0.0, "weight": weight, "bias": -1.0}
    return _bundle(
        folder,
        nodes,
        inputs,
        [("score", FLOAT, ["n"])],
        constants,
        Signature(
            version=VERSION,
            pipeline="fraud",
            interface="tabular",
            task="binary",
            inputs=(
                Column("amount", "number", low=0, high=1000),
                Column("country", "word", words=("de", "fr")),
                Column("paid_at", "time"),
            ),
            outputs=(Column("score", "number"),),
            threshold=threshold,
            notice="A machine decided; ask a person to look again.",
            example={"amount": 20.5, "country": "de", "paid_at": "2026-05-09T08:30:37"},
        ),
    )


def shop(folder: Path) -> Path:
    """A list of words to row numbers of a look-up table: the last film seen, in the graph."""
    nodes = [
        _encoder("seen", "codes", FILMS),
        helper.make_node("ReduceMax", ["codes", "axes"], ["next"], keepdims=0),
        helper.make_node("Sub", ["next", "one"], ["items"]),
    ]
    signature = Signature(
        version=VERSION,
        pipeline="shop",
        interface="ranking",
        task="ranking",
        inputs=(Column("seen", "list", shape=(-1,)),),
        outputs=(Column("items", "number", lookup="films"),),
    )
    folder.mkdir(parents=True)
    write_json(folder / "lookups" / "films.json", FILMS)
    axes = helper.make_tensor("axes", INT64, [1], [1])
    one = helper.make_tensor("one", INT64, [], [1])
    inputs, outputs = [("seen", STRING, ["n", "k"])], [("items", INT64, ["n"])]
    return _bundle(folder, nodes, inputs, outputs, {}, signature, (axes, one))


def drive(folder: Path) -> Path:
    """Images of 2 x 2 pixels to their mean brightness."""
    nodes = [
        helper.make_node("Cast", ["frame"], ["bright"], to=FLOAT),
        helper.make_node("ReduceMean", ["bright", "axes"], ["value"], keepdims=0),
    ]
    signature = Signature(
        version=VERSION,
        pipeline="drive",
        interface="image",
        task="regression",
        inputs=(Column("frame", "image", shape=(2, 2, 3)),),
        outputs=(Column("value", "number"),),
    )
    axes = helper.make_tensor("axes", INT64, [3], [1, 2, 3])
    inputs = [("frame", UINT8, ["n", 2, 2, 3])]
    return _bundle(folder, nodes, inputs, [("value", FLOAT, ["n"])], {}, signature, (axes,))


def ask(folder: Path) -> Path:
    """Text, by a tokenizer that travels along, to the sum of its codes."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {"[PAD]": 0, "[UNK]": 1, "hello": 2, "world": 3}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    (folder / "files").mkdir(parents=True)
    tokenizer.save(str(folder / "files" / "tokenizer.json"))
    nodes = [
        helper.make_node("ReduceSum", ["question", "axes"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["value"], to=FLOAT),
    ]
    signature = Signature(
        version=VERSION,
        pipeline="ask",
        interface="tabular",
        task="regression",
        inputs=(Column("question", "text", shape=(-1,)),),
        outputs=(Column("value", "number"),),
    )
    axes = helper.make_tensor("axes", INT64, [1], [1])
    inputs = [("question", INT64, ["n", "k"])]
    return _bundle(folder, nodes, inputs, [("value", FLOAT, ["n"])], {}, signature, (axes,))


PASSAGES = (
    {"title": "blocked", "text": "A blocked card is opened again by the bank, within two days."},
    {"title": "refund", "text": "A refund comes back to the card that paid."},
    {"title": "lost", "text": "Say at once when a card is lost or stolen."},
)


def talk(folder: Path) -> Path:
    """A question to the two nearest passages and to its vector: words in common, in the graph."""
    import numpy as np
    from onnx import numpy_helper
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    words = ["[PAD]", "[UNK]", *sorted({w for p in PASSAGES for w in _words(p["text"])})]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    (folder / "files").mkdir(parents=True)
    tokenizer.save(str(folder / "files" / "tokenizer.json"))
    write_json(folder / "lookups" / "passages.json", PASSAGES)
    bags = np.zeros((len(words), len(PASSAGES)), np.float32)
    for place, passage in enumerate(PASSAGES):
        for word in _words(passage["text"]):
            bags[words.index(word), place] = 1
    known = np.array([0, 0] + [1] * (len(words) - 2), np.float32)
    constants = {
        "bags": bags / np.linalg.norm(bags, axis=0),
        "known": known,
        "depth": np.array(len(words)),
        "zero_one": np.array([0, 1], np.float32),
        "second": np.array([1]),
        "little": np.array(1e-6, np.float32),
        "two": np.array([2]),
    }
    nodes = [
        helper.make_node("OneHot", ["question", "depth", "zero_one"], ["hot"]),
        helper.make_node("ReduceSum", ["hot", "second"], ["all"], keepdims=0),
        helper.make_node("Mul", ["all", "known"], ["bag"]),
        helper.make_node("ReduceL2", ["bag", "second"], ["length"]),
        helper.make_node("Add", ["length", "little"], ["safe"]),
        helper.make_node("Div", ["bag", "safe"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "bags"], ["likeness"]),
        helper.make_node("TopK", ["likeness", "two"], ["scores", "passages"]),
    ]
    signature = Signature(
        version=VERSION,
        pipeline="talk",
        interface="chat",
        task="none",
        inputs=(Column("question", "text", shape=(-1,)),),
        outputs=(
            Column("passages", "number", shape=(2,), lookup="passages"),
            Column("scores", "number", shape=(2,)),
            Column("embedding", "number", shape=(len(words),)),
        ),
        example={"question": "Where is my refund?"},
    )
    outputs = [("passages", INT64, ["n", 2]), ("scores", FLOAT, ["n", 2])]
    outputs += [("embedding", FLOAT, ["n", len(words)])]
    arrays = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    inputs = [("question", INT64, ["n", "k"])]
    return _bundle(folder, nodes, inputs, outputs, {}, signature, arrays)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]+", text.lower())


def fragile(folder: Path) -> Path:
    """A model that has no finite answer for 0: value = 1 / amount."""
    signature = Signature(
        version=VERSION,
        pipeline="fragile",
        interface="tabular",
        task="regression",
        inputs=(Column("amount", "number"),),
        outputs=(Column("value", "number"),),
        example={"amount": 2.0},
    )
    nodes = [helper.make_node("Reciprocal", ["amount"], ["value"])]
    inputs, outputs = [("amount", FLOAT, ["n"])], [("value", FLOAT, ["n"])]
    return _bundle(folder, nodes, inputs, outputs, {}, signature)


def release(paths: Paths, pipeline: str, folder: Path, number: int = 1) -> Target:
    """Copy a bundle to where releases stand, sign it and point the champion at it."""
    digest = seal(folder)
    if not (paths.bundles / digest).exists():
        shutil.copytree(folder, paths.bundles / digest)
    sign(paths, digest)
    target = Target(digest=digest, release=number, run_id=f"run-{number}")
    try:
        pipelines = read_pointer(paths.pointer).pipelines
    except StateError:  # a test damaged it
        pipelines = {}
    pipelines = pipelines | {pipeline: {"champion": target}}
    write_pointer(paths.pointer, Pointer(pipelines=pipelines))
    return target


def _encoder(name: str, codes: str, words: tuple[str, ...]):
    return helper.make_node(
        "LabelEncoder",
        [name],
        [codes],
        domain="ai.onnx.ml",
        keys_strings=list(words),
        values_int64s=list(range(1, len(words) + 1)),
        default_int64=0,
    )


def _bundle(folder, nodes, inputs, outputs, constants, signature, tensors=()) -> Path:
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [helper.make_tensor(n, FLOAT, [], [v]) for n, v in constants.items()] + list(tensors),
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 4)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    checker.check_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    write_json(folder / "signature.json", signature)
    seal(folder)
    return folder
