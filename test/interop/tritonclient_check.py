"""Asks a local stack what Triton's own client asks a Triton server: run by `npm run interop`."""

import sys
import time

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

CHECKS = []

IRIS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], dtype=np.float32)


def check(claim):
    """Registers a check; it holds unless it raises."""

    def register(run):
        CHECKS.append((claim, run))
        return run

    return register


def equal(seen, expected):
    assert seen == expected, f"saw {seen!r}, not {expected!r}"


def refused(call, *words):
    """The message of what the server refuses."""
    try:
        call()
    except InferenceServerException as error:
        message = str(error)
        assert all(word in message for word in words), f"says only: {message}"
        return message
    raise AssertionError("was not refused")


def tensor(name, values, datatype, binary):
    given = triton.InferInput(name, list(values.shape), datatype)
    given.set_data_from_numpy(values, binary_data=binary)
    return given


def infer(client, model, inputs, binary=True, **options):
    """All outputs as arrays by name; JSON both ways, or bytes both ways."""
    outputs = client.get_model_metadata(model)["outputs"]
    wanted = [
        triton.InferRequestedOutput(output["name"], binary_data=binary)
        for output in outputs
    ]
    given = [
        tensor(name, values, datatype, binary)
        for name, (values, datatype) in inputs.items()
    ]
    result = client.infer(model, given, outputs=wanted, **options)
    return {output["name"]: result.as_numpy(output["name"]) for output in outputs}


def iris_inputs(client):
    (spec,) = client.get_model_metadata("iris")["inputs"]
    return {spec["name"]: (IRIS, spec["datatype"])}


def minilm_inputs(client):
    ids = np.array([[101, 7592, 2088, 102], [101, 2651, 102, 0]], dtype=np.int64)
    values = {
        "input_ids": ids,
        "attention_mask": (ids != 0).astype(np.int64),
        "token_type_ids": np.zeros_like(ids),
    }
    specs = client.get_model_metadata("minilm")["inputs"]
    return {
        spec["name"]: (
            values[spec["name"]].astype(triton_dtype(spec["datatype"])),
            spec["datatype"],
        )
        for spec in specs
    }


def triton_dtype(datatype):
    return {"INT64": np.int64, "INT32": np.int32}[datatype]


@check("the server is live and ready")
def _(client):
    assert client.is_server_live() and client.is_server_ready()


@check("the server names itself and its extensions")
def _(client):
    metadata = client.get_server_metadata()
    equal(metadata["name"], "nearside")
    missing = {
        "binary_tensor_data",
        "classification",
        "model_configuration",
        "model_repository",
        "statistics",
    } - set(metadata["extensions"])
    equal(missing, set())


@check("a model is ready, by its version too, and an unknown one is not")
def _(client):
    assert client.is_model_ready("iris") and client.is_model_ready("iris", "1")
    assert not client.is_model_ready("nothing")


@check("a model tells its tensors and its configuration")
def _(client):
    metadata = client.get_model_metadata("iris", "1")
    config = client.get_model_config("iris", "1")
    equal(config["name"], "iris")
    equal(config["platform"], "onnxruntime_onnx")
    assert config["max_batch_size"] > 0, config
    for kind, of in (("inputs", "input"), ("outputs", "output")):
        for one, other in zip(metadata[kind], config[of], strict=True):
            equal(other["name"], one["name"])
            equal(other["data_type"], f"TYPE_{one['datatype']}")
            equal(other.get("reshape", {"shape": other["dims"]})["shape"], one["shape"][1:])


@check("iris answers JSON")
def _(client):
    answers = infer(client, "iris", iris_inputs(client), binary=False)
    assert all(len(values) == len(IRIS) for values in answers.values()), answers


@check("iris answers bytes, with the same values as JSON")
def _(client):
    same_in_both_forms(client, "iris", iris_inputs(client))


@check("minilm answers bytes, with the same values as JSON")
def _(client):
    same_in_both_forms(client, "minilm", minilm_inputs(client))


def same_in_both_forms(client, model, inputs):
    as_json = infer(client, model, inputs, binary=False)
    as_bytes = infer(client, model, inputs, binary=True)
    for name, values in as_json.items():
        np.testing.assert_array_equal(values, as_bytes[name])


@check("all outputs come as bytes when none is named, and the id comes back")
def _(client):
    given = [
        tensor(name, values, datatype, True)
        for name, (values, datatype) in iris_inputs(client).items()
    ]
    result = client.infer("iris", given, request_id="42")
    equal(result.get_response()["id"], "42")
    for output in client.get_model_metadata("iris")["outputs"]:
        assert result.as_numpy(output["name"]) is not None, output


@check("strings go there and back, as JSON and as bytes")
def _(client):
    words = np.array([["", "one"], ["größer", "日本"]], dtype=np.object_)
    for binary in (False, True):
        (answer,) = infer(
            client, "words", {"x": (words, "BYTES")}, binary=binary
        ).values()
        seen = [
            word.decode() if isinstance(word, bytes) else word
            for word in answer.flatten()
        ]
        equal(seen, list(words.flatten()))


@check("the classification extension names the best classes")
def _(client):
    given = [
        tensor(name, values, datatype, True)
        for name, (values, datatype) in iris_inputs(client).items()
    ]
    scores = next(
        output
        for output in client.get_model_metadata("iris")["outputs"]
        if output["datatype"] == "FP32"
    )["name"]
    for binary in (False, True):
        wanted = [triton.InferRequestedOutput(scores, binary_data=binary, class_count=2)]
        classes = client.infer("iris", given, outputs=wanted).as_numpy(scores)
        equal(classes.shape, (2, 2))
        best = [
            row[0].decode() if isinstance(row[0], bytes) else row[0] for row in classes
        ]
        equal([one.split(":")[2] for one in best], ["setosa", "virginica"])


@check("requests and answers may be compressed: gzip and deflate")
def _(client):
    inputs = minilm_inputs(client)
    plain = infer(client, "minilm", inputs)
    codings = []
    post = client._post

    def noting(*words, **options):
        response = post(*words, **options)
        codings.append(response.get("content-encoding"))
        return response

    client._post = noting
    try:
        for binary in (False, True):
            for coding in ("gzip", "deflate"):
                answers = infer(
                    client,
                    "minilm",
                    inputs,
                    binary=binary,
                    request_compression_algorithm=coding,
                    response_compression_algorithm=coding,
                )
                for name, values in plain.items():
                    np.testing.assert_array_equal(values, answers[name])
                equal(codings.pop(), coding)
    finally:
        del client._post


@check("statistics count what was asked")
def _(client):
    def counts():
        (stat,) = client.get_inference_statistics("iris", "1")["model_stats"]
        return stat

    before = settled(counts)
    for _ in range(5):
        infer(client, "iris", iris_inputs(client))
    refused(lambda: client.infer("iris", [tensor("nope", IRIS, "FP32", False)]))
    succeeded, failed = counted(before)
    after = wait_for(counts, lambda stat: counted(stat) == [succeeded + 5, failed + 1])
    assert after["last_inference"] >= before["last_inference"] > 1.7e12, after
    assert spent(after) > spent(before), after
    everything = client.get_inference_statistics()["model_stats"]
    assert {"iris", "minilm", "words"} <= {stat["name"] for stat in everything}


def counted(stat):
    return [stat["inference_stats"][outcome]["count"] for outcome in ("success", "fail")]


def spent(stat):
    return stat["inference_stats"]["success"]["ns"]


def settled(read, seconds=3):
    """What is read once nothing changes: events of earlier checks may still be on their way."""
    seen = wait_for(read, lambda stat: stat["inference_count"] > 0)
    since = time.monotonic()
    while time.monotonic() - since < seconds:
        time.sleep(0.2)
        latest = read()
        if latest != seen:
            seen, since = latest, time.monotonic()
    return seen


def wait_for(read, holds, seconds=20):
    """Statistics come with the queue, some seconds later."""
    end = time.monotonic() + seconds
    while True:
        seen = read()
        if holds(seen):
            return seen
        assert time.monotonic() < end, f"still {seen!r}"
        time.sleep(0.2)


@check("the index lists the repository; load and unload change what is held")
def _(client):
    def held():
        (entry,) = [
            one
            for one in client.get_model_repository_index()
            if one["name"] == "iris"
        ]
        equal((entry["version"], entry["state"]), ("1", "READY"))
        return entry["nearside"]["held"]

    client.load_model("iris")
    equal(held(), True)
    client.unload_model("iris", unload_dependents=True)
    equal(held(), False)
    assert client.is_model_ready("iris"), "a model that is not held loads by itself"
    client.load_model("iris")
    equal(held(), True)


@check("errors arrive as the client's exceptions, with their sentence")
def _(client):
    refused(lambda: client.get_model_metadata("nothing"), "There is no model")
    refused(lambda: client.get_model_config("iris", "99"), "no version")
    refused(lambda: client.load_model("nothing"), "There is no model")
    refused(lambda: client.load_model("iris", config="{}"), "as it was published")
    wrong = np.zeros((1, 3), dtype=np.float32)
    (name,) = iris_inputs(client)
    for binary in (False, True):
        refused(lambda: client.infer("iris", [tensor(name, wrong, "FP32", binary)]))


@check("what is not offered is refused with what to use instead")
def _(client):
    refused(client.get_trace_settings, "Server-Timing")
    refused(client.get_log_settings, "wrangler tail")
    equal(client.get_system_shared_memory_status(), [])
    equal(client.get_cuda_shared_memory_status(), [])
    refused(
        lambda: client.register_system_shared_memory("mine", "/mine", 64),
        "binary_tensor_data",
    )


def main(address):
    client = triton.InferenceServerClient(address, concurrency=1)
    failures = 0
    for claim, run in CHECKS:
        try:
            run(client)
            print(f"  holds   {claim}", flush=True)
        except Exception as error:  # each failure is reported, and the others still run
            failures += 1
            print(f"  FAILS   {claim}\n          {type(error).__name__}: {error}", flush=True)
    print(
        "Everything holds."
        if failures == 0
        else f"{failures} of {len(CHECKS)} checks failed."
    )
    return 0 if failures == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
