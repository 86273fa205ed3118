"""What no schema knows: that the objects agree with each other, with the images, with the settings and with the catalog.

Every check yields sentences that name the object; no sentence means that all is well.
"""

import re
import subprocess
import tomllib
from urllib.parse import urlsplit

GRPC, OPS = 8001, 8002
# `server.drain`: serving on, then the hard stop; routers hand over afterwards.
LONGEST_DRAIN = 3 + 20 + 2


def all_of(objects, root):
    """Every check on one rendered kustomization."""
    deployments = kind(objects, "Deployment")
    services = kind(objects, "Service")
    return [
        *selectors(objects, deployments),
        *(problem for deployment in deployments.values() for problem in pod(deployment, root)),
        *ports(services, deployments),
        *experts(objects, deployments, services, root),
        *permissions(objects, deployments, root),
    ]


def kind(objects, name):
    return {item["metadata"]["name"]: item for item in objects if item["kind"] == name}


def labels(deployment):
    return deployment["spec"]["template"]["metadata"]["labels"]


def numbers(container):
    return {port["name"]: port["containerPort"] for port in container.get("ports", [])}


def dig(item, *path):
    """What lies at the end of the path, None where the path breaks off."""
    for key in path:
        item = item.get(key) if isinstance(item, dict) else None
    return item


def selectors(objects, deployments):
    """Whatever selects pods selects those of exactly the deployment of its name."""
    for item in objects:
        if item["kind"] not in ("Service", "PodDisruptionBudget", "Deployment"):
            continue
        name, selector = item["metadata"]["name"], item["spec"]["selector"]
        selector = selector if item["kind"] == "Service" else selector["matchLabels"]
        selected = [other for other, deployment in deployments.items() if selector.items() <= labels(deployment).items()]
        if selected != [name]:
            yield f"{item['kind']} {name}: must select the pods of `{name}` alone: selects those of {selected}"


def pod(deployment, root):
    """What every pod of ours must be like."""
    name, spec = deployment["metadata"]["name"], deployment["spec"]["template"]["spec"]
    [container] = spec["containers"]
    role = labels(deployment)["app.kubernetes.io/name"]
    image = f"{role}:{workspace_version(root)}"
    probes = ["startupProbe", "readinessProbe", "livenessProbe"]
    resources = container.get("resources", {})
    asked, limited = resources.get("requests", {}), resources.get("limits", {})
    checks = {
        f"the image must be {image}": container["image"] == image,
        "must run as another user than root": dig(spec, "securityContext", "runAsNonRoot"),
        "must have the default seccomp profile": dig(spec, "securityContext", "seccompProfile", "type") == "RuntimeDefault",
        "the root file system must be read-only": dig(container, "securityContext", "readOnlyRootFilesystem"),
        "must not gain privileges": dig(container, "securityContext", "allowPrivilegeEscalation") is False,
        "must drop all capabilities": dig(container, "securityContext", "capabilities") == {"drop": ["ALL"]},
        "must mount a token where one is used, and nowhere else": spec.get("automountServiceAccountToken") is (role == "nanogrid-router"),
        "must ask for CPU and memory, and limit memory": {"cpu", "memory"} <= asked.keys() and "memory" in limited,
        "an update must never take a pod away first": dig(deployment, "spec", "strategy", "rollingUpdate", "maxUnavailable") == 0,
        "must be given the time that a drain may take": spec.get("terminationGracePeriodSeconds", 30) > LONGEST_DRAIN,
        "container ports must be grpc and ops": numbers(container) == {"grpc": GRPC, "ops": OPS},
        "probes must go to the gRPC port": all(dig(container, probe, "grpc", "port") == GRPC for probe in probes),
        # A model that cannot answer is taken out of service; a restart would not mend it.
        "the liveness probe must ask the process alone": not dig(container, "livenessProbe", "grpc", "service"),
    }
    yield from (f"Deployment {name}: {problem}" for problem, holds in checks.items() if not holds)
    variables = {variable["name"]: variable.get("value", "") for variable in container.get("env", [])}
    for problem in settings(root, role, variables):
        yield f"Deployment {name}: {problem}"


def ports(services, deployments):
    # A service without its deployment is reported by `selectors`.
    for name in services.keys() & deployments.keys():
        [container] = deployments[name]["spec"]["template"]["spec"]["containers"]
        for port in services[name]["spec"]["ports"]:
            if numbers(container).get(port["targetPort"]) != port["port"]:
                yield f"Service {name}: port {port['port']} must be the container's port {port['targetPort']}"


def experts(objects, deployments, services, root):
    """The catalog, the grid file, and the deployments and services of experts name the same experts."""
    namespace = services["router"]["metadata"]["namespace"]
    grid = tomllib.loads(kind(objects, "ConfigMap")["grid"]["data"]["grid.toml"])
    in_grid = {}
    for expert in grid["expert"]:
        for version in expert["version"]:
            name = f"{expert['name']}-v{version['version']}"
            in_grid[name] = expert
            for endpoint in version["endpoints"]:
                if urlsplit(endpoint).netloc != f"{name}.{namespace}.svc:{GRPC}":
                    yield f"grid.toml: {name}: must be reached at {name}.{namespace}.svc:{GRPC}: {endpoint}"

    deployed = {name: labels(item) for name, item in deployments.items() if "nanogrid.io/expert" in labels(item)}
    for name, of_pod in deployed.items():
        expert, version = of_pod["nanogrid.io/expert"], of_pod["nanogrid.io/version"]
        if name != f"{expert}-v{version}":
            yield f"Deployment {name}: must be called {expert}-v{version} as its labels say"
        [container] = deployments[name]["spec"]["template"]["spec"]["containers"]
        for probe in ("startupProbe", "readinessProbe"):
            if dig(container, probe, "grpc", "service") != expert:
                yield f"Deployment {name}: {probe} must ask for {expert}"
        if name not in services or services[name]["spec"].get("clusterIP") != "None":
            yield f"Service {name}: must exist and be headless"
        if name not in in_grid:
            yield f"grid.toml: `{name}` is deployed, but no request would reach it"
        if not (root / "experts/catalog" / expert / version).is_dir():
            yield f"Deployment {name}: there is no experts/catalog/{expert}/{version}"

    for name in in_grid.keys() - deployed.keys():
        yield f"grid.toml: `{name}` is not deployed"
    for file in sorted(root.glob("experts/catalog/*/expert.toml")):
        manifest = tomllib.loads(file.read_text())
        name = f"{manifest['name']}-v{manifest['default-version']}"
        if name not in deployed:
            yield f"experts/catalog: `{name}` is not deployed: add k8s/base/experts/{name}"
        elif name in in_grid and in_grid[name]["task"] != manifest["task"]:
            yield f"grid.toml: `{manifest['name']}`: its task is {manifest['task']}: {in_grid[name]['task']}"


def permissions(objects, deployments, root):
    """Routers may keep the rollouts of exactly the experts that there are, under the names that their settings say."""
    account = deployments["router"]["spec"]["template"]["spec"]["serviceAccountName"]
    namespace = deployments["router"]["metadata"]["namespace"]
    bound = kind(objects, "RoleBinding")["router"]
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    if bound["subjects"] != [subject] or bound["roleRef"]["name"] != "router":
        yield f"RoleBinding router: must give the Role `router` to the ServiceAccount `{account}` alone: {bound['subjects']}"

    role = kind(objects, "Role")["router"]
    may = {(resource, verb, name) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]
           for name in rule.get("resourceNames", ["any"])}
    files = [item["data"]["router.toml"] for item in objects if item["kind"] == "ConfigMap" and "router.toml" in item["data"]]
    lease = tomllib.loads(files[0])["rollouts"]["kubernetes"]["name"]
    grid = tomllib.loads(kind(objects, "ConfigMap")["grid"]["data"]["grid.toml"])
    must = {("configmaps", verb, f"{lease}-{expert['name']}") for expert in grid["expert"] for verb in ("get", "patch")}
    must |= {("configmaps", verb, "any") for verb in ("list", "watch", "create")}
    must |= {("leases", "get", lease), ("leases", "update", lease), ("leases", "create", "any")}
    yield from (f"Role router: lacks {' '.join(lacking)}" for lacking in sorted(must - may))
    yield from (f"Role router: must not allow {' '.join(needless)}" for needless in sorted(may - must))


def settings_files(root):
    """The settings baked into images and mounted in pods are ones that the programs know, and listen where ports lead."""
    files = {"docker/router.toml": "router", "docker/expert.toml": "expert", "k8s/base/router/router.toml": "router"}
    problems = []
    for path, role in files.items():
        server = tomllib.loads((root / path).read_text())["server"]
        if server != {"listen": f"0.0.0.0:{GRPC}", "ops": f"0.0.0.0:{OPS}"}:
            problems.append(f"{path}: must listen on all addresses, ports {GRPC} and {OPS}: {server}")
        found = settings(root, f"nanogrid-{role}", {}, "--config", str(root / path))
        problems += [f"{path}: {problem}" for problem in found]
    exposed = re.findall(r"^EXPOSE (.*)", (root / "docker/Dockerfile").read_text(), re.MULTILINE)
    if exposed != [f"{GRPC} {OPS}"] * 2:
        problems.append(f"docker/Dockerfile: must expose {GRPC} and {OPS}: {exposed}")
    return problems


def settings(root, program, variables, *arguments):
    """What the program itself says to these variables: it reports everything wrong with its settings at once, so that one
    value known to be wrong keeps it from starting."""
    path = built(root, program)
    if path is None:
        return
    ours = {name: value for name, value in variables.items() if name.startswith("NANOGRID__")}
    stopped = {**ours, "NANOGRID__SERVER__LISTEN": "nowhere"}
    try:
        said = subprocess.run([path, *arguments], env=stopped, cwd=root, capture_output=True, text=True, timeout=20)
    except subprocess.TimeoutExpired:
        yield f"{program} starts although its settings are wrong: they cannot be checked"
        return
    wrong = [line.strip() for line in said.stderr.splitlines() if "NANOGRID__" in line or ".toml" in line]
    if not any("LISTEN" in line for line in wrong):
        yield f"{program} does not complain of `nowhere`: its settings cannot be checked: {said.stderr.strip()}"
    yield from (line for line in wrong if "NANOGRID__SERVER__LISTEN" not in line)


def built(root, program):
    """The newest build of a program, None where there is none."""
    found = [path for path in root.glob(f"target/*/{program}") if path.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def workspace_version(root):
    return tomllib.loads((root / "Cargo.toml").read_text())["workspace"]["package"]["version"]
