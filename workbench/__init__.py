"""The workbench: from raw data to an explained, paid-for deployment.

Names below are imported where they live when they are first used, so that `import workbench`
costs nothing and a stage pays only for what it uses.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "Bundle": "workbench.serving.session",
    "Censored": "workbench.data.censoring",
    "Column": "workbench.core.records",
    "Columns": "workbench.training.columns",
    "Examples": "workbench.data.examples",
    "Facts": "workbench.data.tables",
    "MLP": "workbench.training.columns",
    "Report": "workbench.training.evaluation",
    "Served": "workbench.training.served",
    "TOKENIZER": "workbench.data.tokens",
    "Tables": "workbench.data.tables",
    "Tabular": "workbench.training.tabular",
    "byte_tokenizer": "workbench.data.tokens",
    "calendar": "workbench.training.columns",
    "client": "workbench.serving.client",
    "tokens": "workbench.training.batches",
    "columns_of": "workbench.training.served",
    "date": "workbench.data.kinds",
    "look": "workbench.notebook.look",
    "number": "workbench.data.kinds",
    "parsed": "workbench.data.kinds",
    "pipeline": "workbench.notebook.pipeline",
    "read": "workbench.data.sources",
    "roles": "workbench.data.kinds",
    "text": "workbench.data.kinds",
    "word": "workbench.data.kinds",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'workbench' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)  # dynamic: _HOMES is read by fingerprints
    globals()[name] = value  # dynamic: caches the same value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
