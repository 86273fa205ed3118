"""Starts the programs as their pods would, and asks what the kubelet would ask: a probe for a name that no program knows would
leave every pod unready for ever, and no schema can tell."""

import json
import os
import pathlib
import subprocess
import tempfile
import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

import checks

PATIENCE_SECONDS = 20


def answered(objects, root):
    """Sentences about probes that fail; none of programs that are not built."""
    config_maps = checks.kind(objects, "ConfigMap")
    for name, deployment in checks.kind(objects, "Deployment").items():
        program = checks.built(root, checks.labels(deployment)["app.kubernetes.io/name"])
        if program is None:
            continue
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        with tempfile.TemporaryDirectory() as folder:
            grid = pathlib.Path(folder) / "grid.toml"
            grid.write_text(config_maps["grid"]["data"]["grid.toml"])
            environment = variables(checks.labels(deployment), root, grid)
            yield from (f"Deployment {name}: {problem}" for problem in ask(program, environment, container, root))


def variables(labels, root, grid):
    """Places of the pod, here."""
    ours = {
        "NANOGRID__SERVER__LISTEN": "127.0.0.1:0",
        "NANOGRID__SERVER__OPS": "127.0.0.1:0",
        "NANOGRID__TELEMETRY__LOG_FORMAT": "json",
    }
    if "nanogrid.io/expert" in labels:
        package = f"experts/catalog/{labels['nanogrid.io/expert']}/{labels['nanogrid.io/version']}"
        ours["NANOGRID__PACKAGES"] = str(root / package)
    else:
        ours["NANOGRID__GRID__FILE"] = str(grid)
        ours["NANOGRID__CLASSIFIER__PACKAGE"] = str(root / "router/model/4")
    return {**os.environ, **ours}


def ask(program, environment, container, root):
    process = subprocess.Popen([program], env=environment, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if address := listening(line):
                break
        else:
            yield f"does not start: {''.join(said[-3:]).strip()}"
            return
        health = health_pb2_grpc.HealthStub(grpc.insecure_channel(address))
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            service = checks.dig(container, probe, "grpc", "service") or ""
            if problem := serving(health, service):
                yield f"{probe}: `{service}`: {problem}"
    finally:
        process.kill()
        process.wait()


def listening(line):
    try:
        return json.loads(line).get("grpc")
    except ValueError:
        return None


def serving(health, service):
    """None as soon as the service serves, else the last answer."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            status = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=5).status
            if status == health_pb2.HealthCheckResponse.SERVING:
                return None
            last = health_pb2.HealthCheckResponse.ServingStatus.Name(status)
        except grpc.RpcError as error:
            # Also for a name that is not known: packages get theirs while they are loaded.
            last = error.details()
        if time.monotonic() > until:
            return last
        time.sleep(0.1)
