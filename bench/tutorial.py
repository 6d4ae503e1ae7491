"""The baseline: a sentiment service as tutorials of Ray Serve write it, unbatched or batched.

`python -m bench.tutorial MODEL_DIR PORT unbatched|batched` serves until interrupted. Annotations are not
postponed here: FastAPI reads those of the nested classes when it sees them.
"""

import sys
from typing import Any

import ray
from fastapi import FastAPI
from pydantic import BaseModel
from ray import serve
from transformers import pipeline

MODEL, PORT, KIND = sys.argv[1], int(sys.argv[2]), sys.argv[3]
app = FastAPI()


class TextRequest(BaseModel):
    text: str


@serve.deployment(max_ongoing_requests=64, ray_actor_options={"num_cpus": 1})
@serve.ingress(app)
class Unbatched:
    def __init__(self) -> None:
        self.classify = pipeline("text-classification", model=MODEL)

    @app.post("/predict")
    async def predict(self, request: TextRequest) -> dict[str, Any]:
        return self.classify(request.text)[0]


batched_app = FastAPI()


@serve.deployment(max_ongoing_requests=64, ray_actor_options={"num_cpus": 1})
@serve.ingress(batched_app)
class Batched:
    def __init__(self) -> None:
        self.classify = pipeline("text-classification", model=MODEL)

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.1)
    async def infer(self, texts: list[str]) -> list[dict[str, Any]]:
        return self.classify(texts, batch_size=len(texts))

    @batched_app.post("/predict")
    async def predict(self, request: TextRequest) -> dict[str, Any]:
        return await self.infer(request.text)


if __name__ == "__main__":
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    serve.run({"unbatched": Unbatched, "batched": Batched}[KIND].bind(), blocking=True)
