"""Commands that answer: predict, explain, serve."""

from __future__ import annotations

import json
import signal

import httpx
import pytest

from tests.checkout import CLI, Checkout, ended

ROW = {"amount": 40.0, "colour": "red", "town": "t1", "ordered_at": "2026-06-30T12:00:00"}


def test_predict_answers_the_example_a_row_and_a_file_of_rows(desk: Checkout) -> None:
    assert "small release 1" in desk.workbench("predict", "small").ok().text
    one = json.loads(
        desk.workbench("predict", "small", "--row", json.dumps(ROW), "--json").ok().text
    )
    assert 0 <= one["outputs"]["score"][0] <= 1
    rows = desk.root / ".workbench" / "rows.json"
    rows.write_text(json.dumps([ROW, ROW | {"amount": None}]))
    two = json.loads(desk.workbench("predict", "small", "--file", str(rows), "--json").ok().text)
    assert two["outputs"]["score"][0] == one["outputs"]["score"][0]
    assert len(two["outputs"]["score"]) == 2


def test_predict_says_what_was_asked_and_answers_in_the_words_of_the_data(desk: Checkout) -> None:
    told = desk.workbench("predict", "small").ok().text
    assert "chance of yes" in told
    assert "asked: its example row" in told
    mine = desk.workbench("predict", "small", "--row", json.dumps(ROW)).ok().text
    assert "example row" not in mine


def test_predict_takes_a_table_and_names_the_columns_that_were_of_no_use(desk: Checkout) -> None:
    file = desk.root / ".workbench" / "rows.csv"
    file.write_text("amount;colour;weather\n40;red;fair\n;blue;foul\n")
    told = desk.workbench("predict", "small", "--file", str(file)).ok().text
    assert "weather" in told
    said = json.loads(desk.workbench("predict", "small", "--file", str(file), "--json").ok().text)
    rows = json.dumps([{"amount": 40, "colour": "red"}, {"amount": None, "colour": "blue"}])
    same = json.loads(desk.workbench("predict", "small", "--row", rows, "--json").ok().text)
    assert said["outputs"] == same["outputs"]
    file.write_text("amount;colour\n4,5;red\n5,5;red\n")
    desk.workbench("predict", "small", "--file", str(file)).failed("Row 1: 'amount' is '4,5'")
    file.write_text("weather;wind\nfair;1\nfoul;2\n")
    desk.workbench("predict", "small", "--file", str(file)).failed("none of the columns")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--row", '{"amount": 1'], "The row is not JSON"),
        (["--row", ""], "The row is not JSON"),
        (["--row", '{"amout": 1}'], "Unknown input 'amout'. Did you mean 'amount'?"),
        (["--row", "3"], "must be an object of named fields"),
        (["--row", "[]"], "No rows given"),
        (["--file", "nope.json"], "nope.json cannot be read: No such file"),
        (["--file", "pipelines"], "pipelines cannot be read: Is a directory"),
        (["--file", "nope.json", "--row", "{}"], "not from both"),
    ],
)
def test_predict_says_what_is_wrong_with_a_row(
    desk: Checkout, arguments: list[str], words: str
) -> None:
    desk.workbench("predict", "small", *arguments).failed(words)


def test_predict_for_an_unknown_pipeline_suggests_the_known_one(desk: Checkout) -> None:
    told = desk.workbench("predict", "smal").failed("Did you mean 'small'?")
    assert "repro smal" not in told.sentence


def test_explain_walks_an_answer_back_and_computes_it_again(desk: Checkout) -> None:
    answer = json.loads(desk.workbench("predict", "small", "--json").ok().text)
    told = desk.workbench("explain", answer["id"], "--replay", "--json").ok()
    assert json.loads(told.text)["replay"]["verdict"] == "equal"
    shown = desk.workbench("explain", answer["id"], "--replay").ok().text
    assert "replay: equal" in shown
    assert f"{answer['digest'][:12]}… (verified)" in shown
    assert answer["digest"] not in shown
    assert answer["digest"] in told.text
    assert " mWh (" in shown
    assert "kWh" not in shown


def test_serve_takes_a_free_port_answers_and_ends_with_ctrl_c(desk: Checkout) -> None:
    server = desk.start(*CLI, "serve", "--port", "0")
    assert server.stdout is not None
    first = server.stdout.readline()
    assert first.startswith("serving small at http://127.0.0.1:")
    with httpx.Client(base_url=first.split()[-1], trust_env=False) as client:
        assert client.get("/v2/health/ready").status_code == 200  # said when it is so
        home = client.get("/")
        answer = client.post("/predict/small", json=ROW)
    assert "POST /predict/small" in home.json()["addresses"]
    assert answer.status_code == 200, answer.text
    server.send_signal(signal.SIGINT)
    told = ended(server).ok()
    assert "Traceback" not in told.text
    shown = desk.workbench("explain", answer.headers["x-prediction-id"], "--replay").ok()
    assert "replay: equal" in shown.text


def test_serve_says_that_its_port_is_taken(desk: Checkout) -> None:
    server = desk.start(*CLI, "serve", "--port", "0")
    assert server.stdout is not None
    said = next(line for line in server.stdout if line.startswith("serving"))
    port = said.rpartition(":")[2].strip()
    desk.workbench("serve", "--port", port).failed(f"Port {port}", "choose another port")
    # Only a server that has come so far ends in order; before, SIGTERM just ends the process.
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        desk.until(lambda: client.get("/v2/health/ready").status_code == 200)
    server.send_signal(signal.SIGTERM)
    ended(server).ok()


def test_serve_refuses_a_port_that_is_none(desk: Checkout) -> None:
    told = desk.workbench("serve", "--port", "99999")
    assert told.code == 2
    assert "65535" in told.text
    assert "Traceback" not in told.text


def test_explain_shows_what_a_client_sent_in_quotes_and_without_escapes(desk: Checkout) -> None:
    row = json.dumps(ROW | {"colour": "\x1b]0;owned\x07\x9b2J\nbundle  forged"})
    answer = json.loads(desk.workbench("predict", "small", "--row", row, "--json").ok().text)
    shown = desk.workbench("explain", answer["id"]).ok().text
    assert "\x1b" not in shown
    assert "\x9b" not in shown
    assert "colour='\\x1b]0;owned" in shown
    assert "\nbundle  forged" not in shown
