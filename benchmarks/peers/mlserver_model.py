"""MLServer: `mlserver start FOLDER` with a model-settings.json that names this class."""

import os

import numpy as np
import onnxruntime as ort
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Bench(MLModel):
    """One model, tensors in and out."""

    async def load(self) -> bool:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(os.environ["BENCH_MODEL"], options)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        feed = {i.name: np.array(i.data.root, np.float32) for i in payload.inputs}
        score = self._session.run(["score"], feed)[0]
        output = ResponseOutput(
            name="score", shape=list(score.shape), datatype="FP32", data=score.tolist()
        )
        return InferenceResponse(model_name=self.name, outputs=[output])
