"""Talks to an expert and to the router as anybody would who has never heard of nanogrid: with tritonclient, with the
public health client and with a reflection client. Prints one line per check; ends with 1 at the first that does not hold.

    python triton_client.py ADDRESS MODEL [MODEL ...] [--health-of-each]

MODEL is a text classifier that the server at ADDRESS offers.
"""

import argparse
import queue
import sys

import grpc
import numpy as np
import tritonclient.grpc as triton
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tritonclient.utils import InferenceServerException

TEXTS = ["what is my account balance", "Das Wetter ist heute wunderbar", "a wonderful film \N{GRINNING FACE}"]
OIP = "inference.GRPCInferenceService"
# Any call that takes longer hangs.
LIMIT = 10


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--health-of-each", action="store_true", help="the health service knows each model by name")
    arguments = parser.parse_args()
    address, models = arguments.address, arguments.models
    with triton.InferenceServerClient(address) as client:
        server(client)
        for model in models:
            describes_itself(client, model)
            answers(client, model)
            compresses(client, model)
            streams(client, model)
            counts(client, model)
        refuses(client, models[0])
    health(address, ["", *models] if arguments.health_of_each else [""])
    reflection(address, models[0])


def check(what, holds, found=""):
    print(f"{'ok' if holds else 'FAILED'}: {what}" + (f": {found!r}" if not holds else ""), flush=True)
    if not holds:
        sys.exit(1)


def texts(rows):
    tensor = triton.InferInput("text", [len(rows)], "BYTES")
    tensor.set_data_from_numpy(np.array([row.encode() for row in rows], dtype=object))
    return [tensor]


def server(client):
    check("the server is live", client.is_server_live(client_timeout=LIMIT))
    check("the server is ready", client.is_server_ready(client_timeout=LIMIT))
    metadata = client.get_server_metadata(client_timeout=LIMIT)
    check("the server has a name and a version", metadata.name and metadata.version, metadata)
    check("it lists the statistics extension", "statistics" in metadata.extensions, metadata.extensions)


def describes_itself(client, model):
    check(f"{model} is ready", client.is_model_ready(model, client_timeout=LIMIT))
    metadata = client.get_model_metadata(model, client_timeout=LIMIT)
    inputs = [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in metadata.inputs]
    outputs = {tensor.name: tensor.datatype for tensor in metadata.outputs}
    check(f"{model} takes text", inputs == [("text", "BYTES", [-1])], inputs)
    check(f"{model} gives labels and scores", outputs == {"label": "BYTES", "score": "FP32"}, outputs)
    check(f"{model} has versions", all(version.isdigit() for version in metadata.versions), metadata.versions)
    config = client.get_model_config(model, client_timeout=LIMIT).config
    check(f"{model} has a configuration", config.name == model and config.input[0].name == "text", config)
    index = client.get_model_repository_index(client_timeout=LIMIT).models
    states = {entry.name: entry.state for entry in index}
    check(f"{model} is READY in the index", states.get(model) == "READY", states)


def answers(client, model):
    result = client.infer(model, texts(TEXTS), request_id="first", client_timeout=LIMIT)
    labels, scores = result.as_numpy("label"), result.as_numpy("score")
    check(f"{model} gives a label a row", labels.shape == (len(TEXTS), 1), labels.shape)
    check(f"{model} gives labels as UTF-8", all(label.decode() for label in labels.ravel()), labels)
    check(f"{model} gives a score a label", scores.shape == labels.shape and scores.dtype == np.float32, scores)
    check(f"{model} scores from 0 to 1", ((scores > 0) & (scores <= 1)).all(), scores)
    check(f"{model} answers with the request's id", result.get_response().id == "first", result.get_response().id)
    check(f"{model} answers raw", len(result.get_response().raw_output_contents) == 2)
    one = client.infer(model, texts(TEXTS), outputs=[triton.InferRequestedOutput("score")], client_timeout=LIMIT)
    check(f"{model} gives only what was asked for", one.as_numpy("label") is None and one.as_numpy("score") is not None)
    best = client.infer(model, texts(TEXTS), parameters={"top_k": 2}, client_timeout=LIMIT)
    check(f"{model} gives two labels", best.as_numpy("label").shape == (len(TEXTS), 2), best.as_numpy("label"))
    check(f"{model} gives the best first", (np.diff(best.as_numpy("score"), axis=1) <= 0).all(), best.as_numpy("score"))
    check(f"{model} agrees with itself", (best.as_numpy("label")[:, :1] == labels).all(), (best.as_numpy("label"), labels))


def compresses(client, model):
    plain = client.infer(model, texts(TEXTS), client_timeout=LIMIT)
    for algorithm in ("gzip", "deflate"):
        packed = client.infer(model, texts(TEXTS), compression_algorithm=algorithm, client_timeout=LIMIT)
        same = (packed.as_numpy("label") == plain.as_numpy("label")).all()
        check(f"{model} answers a {algorithm} request alike", same)


def streams(client, model):
    replies = queue.Queue()
    client.start_stream(callback=lambda result, error: replies.put((result, error)))
    for number, row in enumerate(TEXTS):
        client.async_stream_infer(model, texts([row]), request_id=str(number))
    client.async_stream_infer(model, [triton.InferInput("text", [1], "BYTES")], request_id="empty")
    client.async_stream_infer(model, texts(TEXTS[:1]), request_id="after")
    seen, errors = set(), []
    for _ in range(len(TEXTS) + 2):
        result, error = replies.get(timeout=LIMIT)
        if error is None:
            seen.add(result.get_response().id)
        else:
            errors.append(error)
    client.stop_stream()
    check(f"{model} answers on a stream", seen == {"0", "1", "2", "after"}, seen)
    check(f"{model} tells a bad request on the stream and goes on", len(errors) == 1, errors)


def counts(client, model):
    before = client.get_inference_statistics(model, client_timeout=LIMIT).model_stats[0]
    client.infer(model, texts(TEXTS), client_timeout=LIMIT)
    after = client.get_inference_statistics(model, client_timeout=LIMIT).model_stats[0]
    grown = after.inference_count - before.inference_count
    check(f"{model} counts rows", grown == len(TEXTS), grown)
    grown = after.inference_stats.success.count - before.inference_stats.success.count
    check(f"{model} counts requests", grown == 1, grown)
    check(f"{model} measures its inference", after.inference_stats.compute_infer.ns > 0)


def refuses(client, model):
    wrong_shape = triton.InferInput("text", [2], "BYTES")
    wrong_shape.set_data_from_numpy(np.array([b"one", b"two"], dtype=object))
    wrong_shape.set_shape([3])
    number = triton.InferInput("text", [1], "INT32")
    number.set_data_from_numpy(np.array([1], dtype=np.int32))
    for what, name, version, inputs, code in [
        ("an unknown model", "no-such-expert", "", texts(TEXTS), "NOT_FOUND"),
        ("an unknown version", model, "4711", texts(TEXTS), "NOT_FOUND"),
        ("a version that is no number", model, "newest", texts(TEXTS), "INVALID_ARGUMENT"),
        ("a shape that is not the content's", model, "", [wrong_shape], "INVALID_ARGUMENT"),
        ("a wrong datatype", model, "", [number], "INVALID_ARGUMENT"),
        ("an empty text", model, "", texts(["", "x"]), "INVALID_ARGUMENT"),
    ]:
        try:
            client.infer(name, inputs, model_version=version, client_timeout=LIMIT)
            check(f"{what} is refused", False)
        except InferenceServerException as error:
            check(f"{what} is refused", error.status() == f"StatusCode.{code}", (error.status(), error.message()))


def health(address, services):
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        serving = health_pb2.HealthCheckResponse.SERVING
        for service in services:
            request = health_pb2.HealthCheckRequest(service=service)
            check(f"health of `{service}`", stub.Check(request, timeout=LIMIT).status == serving)
            watch = stub.Watch(request, timeout=LIMIT)
            check(f"health of `{service}`, watched", next(iter(watch)).status == serving)
            watch.cancel()
        try:
            stub.Check(health_pb2.HealthCheckRequest(service="no-such-expert"), timeout=LIMIT)
            check("health of an unknown service is refused", False)
        except grpc.RpcError as error:
            check("health of an unknown service is refused", error.code() == grpc.StatusCode.NOT_FOUND, error.code())


def reflection(address, model):
    """Calls ServerReady with nothing but what the server says of itself."""
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        services = set(database.get_services())
        check("reflection lists the services", {OIP, "grpc.health.v1.Health"} <= services, services)
        pool = DescriptorPool(database)
        method = pool.FindServiceByName(OIP).FindMethodByName("ModelReady")
        call = channel.unary_unary(
            f"/{OIP}/ModelReady",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        reply = call(GetMessageClass(method.input_type)(name=model), timeout=LIMIT)
        check("a call made from reflection alone is answered", reply.ready, reply)


if __name__ == "__main__":
    main()
