"""BentoML: `bentoml serve bento:Bench`."""

import os

import bentoml
import numpy as np
import onnxruntime as ort


@bentoml.service(workers=1)
class Bench:
    """One model, JSON in and out."""

    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(os.environ["BENCH_MODEL"], options)

    @bentoml.api
    def predict(self, row: dict[str, float]) -> dict[str, float]:
        """Answer one row."""
        feed = {name: np.array([value], np.float32) for name, value in row.items()}
        return {"score": float(self.session.run(["score"], feed)[0][0])}
