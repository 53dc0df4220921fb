"""Prompts out of files, in the forms in which prompt sets are passed on."""

from __future__ import annotations

import csv
import io
import json

import pytest

from core import prompt_files
from core.config import parse_assignments
from core.errors import UserError

PROMPTS = ("a cat, sleeping", 'a "red" fox', "猫", "a cat, sleeping")


def table(rows, delimiter: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue()


@pytest.mark.parametrize(
    "name, text",
    [
        ("p.txt", "# My list\n" + "\r\n".join(PROMPTS) + "\n\n"),
        ("p", "\n".join(PROMPTS)),
        ("p.csv", table([["id", "Prompt", "note"], *([str(i), p, "x"] for i, p in enumerate(PROMPTS))], ",")),
        ("P.TSV", "\ufeff" + table([["Prompt", "Category"], *([p, "Abstract"] for p in PROMPTS)], "\t")),  # as PartiPrompts
        ("p.csv", table([[p] for p in PROMPTS], ",")),
        ("p.jsonl", "\n".join(json.dumps({"tag": "colors", "include": [{"class": "x"}], "prompt": p}) for p in PROMPTS)),  # as GenEval
        ("p.jsonl", "\n".join(json.dumps(p) for p in PROMPTS)),
        ("p.json", json.dumps(PROMPTS)),
        ("p.json", json.dumps({"captions": [{"text": p} for p in PROMPTS]}, indent=2)),
    ],
)
def test_every_form_gives_the_same_prompts(name, text, tmp_path):
    assert prompt_files.read(text, name) == PROMPTS
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert parse_assignments([f"prompts=@{tmp_path / name}"])["prompts"] == PROMPTS


def test_a_prompt_is_one_line():
    assert prompt_files.read(table([["prompt"], ["a cat\non  a\tmat "]], ","), "p.csv") == ("a cat on a mat",)


@pytest.mark.parametrize(
    "name, text, said",
    [
        ("p.txt", "# only words about it\n\n", "p.txt holds no prompts."),
        ("p.csv", "", "p.csv holds no prompts."),
        ("p.csv", "prompt\n\n", "p.csv holds no prompts."),
        ("p.csv", "id,words\n1,cat\n", "p.csv has no column called prompt; its first line is id, words. Call the right one prompt."),
        ("p.tsv", "a\tb\tc\td\te\n", "its first line is a, b, c, d and more."),
        ("p.csv", "prompt\n" + "x" * 2_000_000, "cannot be read as a table"),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": ', "Line 2 of p.jsonl is not JSON."),
        ("p.jsonl", '{"prompt": "a"}\n{"words": "b"}', "Entry 2 of p.jsonl has no text called prompt."),
        ("p.jsonl", '{"prompt": 3}', "Entry 1 of p.jsonl has no text called prompt."),
        ("p.json", "3", "p.json holds no list of prompts."),
        ("p.json", "[" * 100_000, "p.json is not JSON."),
    ],
)
def test_a_file_of_another_form_is_told_in_a_sentence(name, text, said):
    with pytest.raises(UserError) as caught:
        prompt_files.read(text, name)
    assert said in str(caught.value) and caught.value.field == "prompts"
