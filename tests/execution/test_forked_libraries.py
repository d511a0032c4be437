"""What a forked stage computes is, byte for byte, what a cold one computes.

The server has loaded every library, and some have started thread pools; this is the proof that
they survive the fork.
"""

from __future__ import annotations

import sys

import pytest

from workbench.execution.forkserver import PRELOAD, ForkServer

WORK = """
    import hashlib, os, sys

    sys.stderr.write(f"torch was there: {'torch' in sys.modules}\\n")

    def show(name, content):
        print(name, hashlib.sha256(bytes(content)).hexdigest())

    import numpy as np
    a = np.random.default_rng(0).normal(size=(700, 700))
    show("numpy", (a @ a).tobytes())
    show("lapack", np.linalg.svd(a[:200, :200])[1].tobytes())

    import duckdb
    con = duckdb.connect()
    con.execute("create table t as select range as i, hash(range) % 1000 as k from range(300000)")
    query = "select k::bigint as k, count(*), sum(i) from t group by all order by all"
    con.execute(f"copy ({query}) to 'out.parquet'")
    with open("out.parquet", "rb") as file:
        show("duckdb", file.read())

    import ibis
    rows = ibis.duckdb.connect().read_parquet("out.parquet")
    rows = rows.filter(rows.k > 500).order_by("k").to_pyarrow()
    show("ibis", str(rows.to_pydict()).encode())

    import pandera.ibis as pa
    schema = pa.DataFrameSchema({"k": pa.Column(checks=pa.Check.ge(0))})
    schema.validate(ibis.memtable(rows.select(["k"])))

    import pyarrow.compute as pc, pyarrow.parquet as pq
    pq.write_table(pq.read_table("out.parquet", use_threads=True), "copy.parquet")
    with open("copy.parquet", "rb") as file:
        show("arrow", file.read())

    import torch
    print("torch threads", torch.get_num_threads())
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 1))
    step = torch.optim.AdamW(model.parameters())
    x = torch.randn(4096, 64)
    for _ in range(5):
        step.zero_grad()
        model(x).square().mean().backward()
        step.step()
    show("torch", torch.cat([p.flatten() for p in model.parameters()]).detach().numpy().tobytes())

    class Ones(torch.utils.data.Dataset):
        def __len__(self): return 8
        def __getitem__(self, i): return torch.full((3,), i)
    loader = torch.utils.data.DataLoader(Ones(), batch_size=4, num_workers=1)
    show("loader", torch.cat(list(loader)).numpy().tobytes())

    from safetensors.torch import save
    show("safetensors", save(model.state_dict()))

    program = torch.onnx.export(model.eval(), (x[:2],), dynamo=True, verbose=False)
    for node in program.model.graph:
        node.metadata_props.clear()
    program.save("model.onnx")
    import onnxruntime
    session = onnxruntime.InferenceSession("model.onnx")
    show("onnxruntime", session.run(None, {session.get_inputs()[0].name: x[:2].numpy()})[0])

    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    y = a[:, 0] > 0
    tree = HistGradientBoostingClassifier(max_iter=5, random_state=0).fit(a[:, 1:40], y)
    show("trees", tree.predict_proba(a[:, 1:40]).tobytes())
    show("logistic", LogisticRegression().fit(a[:, 1:40], y).coef_.tobytes())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="stages start cold elsewhere")
def test_every_preloaded_library_computes_after_a_fork_what_it_computes_cold(checkout):
    checkout.job("import sys; print(all(name in sys.modules for name in sys.argv[1:]))")
    with ForkServer().start():
        checkout.until(lambda: checkout.forked(*PRELOAD).communicate()[0] == "True\n")
        checkout.job(WORK)
        out, err = checkout.forked().communicate(timeout=120)
        cold_out, cold_err = checkout.cold().communicate(timeout=120)
        checkout.job("import torch; print(torch.initial_seed())")
        assert checkout.forked().communicate() != checkout.forked().communicate()
    assert "torch was there: True" in err, err
    assert "torch was there: False" in cold_err
    assert cold_out.count("\n") == 12, cold_err
    assert out == cold_out
