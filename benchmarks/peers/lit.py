"""LitServe: `python lit.py PORT`."""

import os
import sys

import litserve
import numpy as np
import onnxruntime as ort


class Bench(litserve.LitAPI):
    """One model, JSON in and out."""

    def setup(self, device: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(os.environ["BENCH_MODEL"], options)

    def predict(self, x: dict[str, float]) -> float:
        feed = {name: np.array([value], np.float32) for name, value in x.items()}
        return float(self.session.run(["score"], feed)[0][0])

    def encode_response(self, output: float) -> dict[str, float]:
        return {"score": output}


if __name__ == "__main__":
    server = litserve.LitServer(Bench(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
