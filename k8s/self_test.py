"""Proves that the checks can fail: each mutation of a good rendering must be reported, by the check that is meant for it."""

import copy

import checks


def container(objects, name):
    return checks.kind(objects, "Deployment")[name]["spec"]["template"]["spec"]["containers"][0]


def spec(objects, kind, name):
    return checks.kind(objects, kind)[name]["spec"]


def grid(objects, old, new):
    files = checks.kind(objects, "ConfigMap")["grid"]["data"]
    files["grid.toml"] = files["grid.toml"].replace(old, new)


def rule(objects, number):
    return checks.kind(objects, "Role")["router"]["rules"][number]


# What is broken, and what must be said of it.
MUTATIONS = [
    (lambda objects: container(objects, "intent-v2").update(image="nanogrid-expert:latest"), "the image must be"),
    (lambda objects: container(objects, "router")["ports"][0].update(containerPort=9000), "must be the container's port"),
    (lambda objects: container(objects, "intent-v2")["readinessProbe"]["grpc"].update(service="x"), "readinessProbe must ask"),
    (lambda objects: container(objects, "router")["livenessProbe"]["grpc"].update(service="x"), "the process alone"),
    (lambda objects: container(objects, "router")["securityContext"].update(readOnlyRootFilesystem=False), "read-only"),
    (lambda objects: spec(objects, "Deployment", "router")["strategy"]["rollingUpdate"].update(maxUnavailable=1), "an update"),
    (lambda objects: spec(objects, "Service", "intent-v2").update(clusterIP="10.0.0.7"), "headless"),
    (lambda objects: spec(objects, "Service", "intent-v2")["selector"].pop("nanogrid.io/expert"), "must select the pods"),
    (lambda objects: objects.remove(checks.kind(objects, "Deployment")["intent-v2"]), "`intent-v2` is not deployed"),
    (lambda objects: grid(objects, "intent-v2.nanogrid.svc", "intent.nanogrid.svc"), "must be reached at"),
    (lambda objects: grid(objects, '"intent"', '"intents"'), "no request would reach it"),
    (lambda objects: grid(objects, '"text-classification"', '"embedding"'), "its task is text-classification"),
    (lambda objects: rule(objects, 0)["resourceNames"].remove("rollouts-intent"), "lacks configmaps get rollouts-intent"),
    (lambda objects: rule(objects, 0)["resourceNames"].append("grid"), "must not allow configmaps get grid"),
    (lambda objects: rule(objects, 2)["verbs"].append("patch"), "must not allow configmaps patch any"),
    (lambda objects: checks.kind(objects, "RoleBinding")["router"]["subjects"][0].update(namespace="x"), "must give the Role"),
    (
        lambda objects: spec(objects, "Deployment", "router")["template"]["spec"].update(automountServiceAccountToken=False),
        "must mount a token where one is used",
    ),
]
# Only where the programs are built.
SETTINGS = (lambda objects: container(objects, "intent-v2")["env"].append({"name": "NANOGRID__PACKAGE"}), "NANOGRID__PACKAGE")


def unnoticed(objects, root):
    """Sentences about mutations that no check reports."""
    is_built = checks.built(root, "nanogrid-expert") is not None
    for idx, (mutate, report) in enumerate(MUTATIONS + [SETTINGS] * is_built):
        broken = copy.deepcopy(objects)
        mutate(broken)
        if not any(report in problem for problem in checks.all_of(broken, root)):
            yield f"self-test: mutation {idx + 1} is not noticed: expected `{report}`"
