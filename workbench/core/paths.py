"""Where everything of a checkout stands. No other file spells a path."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from workbench.core.errors import MissingError

STAGES = ("collect", "clean", "label", "split", "train", "export", "evaluate", "candidate")


@dataclass(frozen=True)
class Paths:
    """The places of one checkout.

    root: the folder with `params.yaml`; DVC's outputs and metrics are below it.
    home: `.workbench` of the main checkout: databases, run records, released bundles.
    """

    root: Path
    home: Path

    @property
    def params(self) -> Path:
        return self.root / "params.yaml"

    @property
    def pins(self) -> Path:
        return self.root / "requirements.txt"

    @property
    def dvc_yaml(self) -> Path:
        return self.root / "dvc.yaml"

    @property
    def dvc_lock(self) -> Path:
        return self.root / "dvc.lock"

    def notebook(self, pipeline: str) -> Path:
        """The marimo notebook that is the pipeline."""
        return self.root / "pipelines" / f"{pipeline}.py"

    def fingerprint(self, stage: str, pipeline: str) -> Path:
        return self.root / "fingerprints" / stage / f"{pipeline}.json"

    def stage(self, stage: str, pipeline: str) -> Path:
        """Folder with the outputs of one stage."""
        return self.root / "data" / pipeline / stage

    def report(self, stage: str, pipeline: str) -> Path:
        """What a stage says of its work: JSON, kept in Git."""
        return self.root / "reports" / pipeline / f"{stage}.json"

    def quality(self, pipeline: str) -> Path:
        """The few numbers by which versions are compared (`dvc metrics diff`), kept in Git."""
        return self.root / "metrics" / pipeline / "quality.json"

    def plots(self, pipeline: str) -> Path:
        return self.root / "plots" / pipeline

    def usage(self, pipeline: str) -> Path:
        """Measured usage by stage; nobody's output, so that it never wakes a stage."""
        return self.quality(pipeline).with_name("usage.json")

    def release_log(self, pipeline: str) -> Path:
        """Append-only log of releases, aliases and overrides; belongs into Git."""
        return self.root / "releases" / f"{pipeline}.jsonl"

    @property
    def runs(self) -> Path:
        """One folder for each run record that a stage left."""
        return self.home / "runs"

    @property
    def evidence(self) -> Path:
        """Candidates as they were seen, by digest of what was trained; for tracking."""
        return self.home / "evidence"

    @property
    def artifacts(self) -> Path:
        """MLflow's artefacts, where no server keeps them."""
        return self.home / "artifacts"

    @property
    def bundles(self) -> Path:
        """Released bundles by digest; the server reads only these."""
        return self.home / "bundles"

    @property
    def signing_key(self) -> Path:
        """The private key that signs releases; its owner's alone, and in no backup."""
        return self.home / "signing.key"

    @property
    def signing_public(self) -> Path:
        """Its public half, to give to others."""
        return self.home / "signing.pub"

    @property
    def trusted(self) -> Path:
        """Public keys whose bundles are served here: `NAME.pub`, this checkout's own among them."""
        return self.home / "trusted"

    @property
    def pointer(self) -> Path:
        """The file that tells the server which bundle answers under which alias."""
        return self.home / "serving.json"

    @property
    def unloaded(self) -> Path:
        """A file for each pipeline that servers were told not to answer for."""
        return self.home / "unloaded"

    @property
    def predictions(self) -> Path:
        """Passports of answered predictions."""
        return self.home / "predictions"

    @property
    def serving_windows(self) -> Path:
        """What the server did in each second."""
        return self.home / "serving"

    @property
    def monitoring(self) -> Path:
        """What was found of the health of deployments: a file a pipeline, and alerts."""
        return self.home / "monitoring"

    @property
    def keys(self) -> Path:
        """The keys of the server, as hashes."""
        return self.home / "keys.json"

    @property
    def key_uses(self) -> Path:
        """What each key has used; all server processes share it."""
        return self.home / "keys.use"

    @property
    def audit(self) -> Path:
        """Who was refused, which keys came and went, what administrators did."""
        return self.home / "audit.jsonl"

    def checkpoints(self, pipeline: str, key: str) -> Path:
        return self.home / "checkpoints" / pipeline / key

    def lock(self, name: str) -> Path:
        return self.home / "locks" / f"{name}.lock"

    @property
    def scratch(self) -> Path:
        """DuckDB's database and spill files; emptied by whoever made them."""
        return self.root / ".workbench" / "scratch"

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger."""
        return os.environ.get("WORKBENCH_LEDGER_URL") or f"sqlite:///{self.home / 'ledger.db'}"

    @property
    def tracking_url(self) -> str:
        """MLflow's tracking URI."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.home / 'mlflow.db'}"


def find_root(start: Path | None = None) -> Path:
    """Return the nearest folder at or above `start` (default: here) that has `params.yaml`.

    Raises MissingError when there is none.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "params.yaml").is_file():
            return folder
    raise MissingError(
        f"No params.yaml at or above {here}.",
        fix="run this inside a workbench checkout",
    )


def find_paths(start: Path | None = None) -> Paths:
    """Return the places of the checkout around `start`.

    An experiment that DVC runs aside (`dvc exp run --temp`) shares the home of the main checkout,
    so that no usage and no run gets lost with the temporary folder.
    """
    root = find_root(start)
    main = root
    for folder in root.parents:
        if (
            folder.name == "exps"
            and folder.parent.name == "tmp"
            and folder.parent.parent.name == ".dvc"
        ):
            main = folder.parent.parent.parent
    home = os.environ.get("WORKBENCH_HOME")
    return Paths(root=root, home=Path(home).resolve() if home else main / ".workbench")
