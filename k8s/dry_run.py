"""Asks a real API server what it would say to the objects: schemas know neither the rules between fields, nor which profile of
security a namespace enforces, nor whether a role may be given."""

import contextlib
import copy
import json
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request


@contextlib.contextmanager
def api_server(root):
    """A function that sends an object and says what is wrong with it; None where there is no Go to build the server with."""
    prepared = subprocess.run([root / "k8s/apiserver/prepare"], stdout=subprocess.PIPE, text=True)
    if prepared.returncode != 0:
        yield None
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        # It ends with its standard input.
        command = [prepared.stdout.strip(), folder]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, text=True, **pipes) as server:
            where = json.loads(server.stdout.readline())
            yield Client(where).refusal
            server.stdin.close()


class Client:
    def __init__(self, where):
        self.where = where
        self.tls = ssl.create_default_context(cafile=where["ca"])
        self.paths = {}

    def refusal(self, item, is_real=False):
        """A sentence, or None. What is no real change leaves nothing behind."""
        namespace = item["metadata"].get("namespace")
        place = f"namespaces/{namespace}/" if namespace else ""
        path = f"{self.resource(item, place)}/{item['metadata']['name']}?fieldManager=validate&fieldValidation=Strict&force=true"
        body = json.dumps(item).encode()
        try:
            answer = self.send("PATCH", path if is_real else f"{path}&dryRun=All", body)
        except urllib.error.HTTPError as error:
            return f"{name(item)}: {json.load(error)['message']}"
        # Where the pods of a deployment would be refused, the API only warns.
        warnings = answer.headers.get_all("Warning") or []
        return f"{name(item)}: {'; '.join(warnings)}" if warnings else None

    def resource(self, item, place):
        """Where objects of this kind are, as the API itself says."""
        version = item["apiVersion"]
        group = f"apis/{version}" if "/" in version else f"api/{version}"
        if group not in self.paths:
            resources = json.load(self.send("GET", group))["resources"]
            self.paths[group] = {each["kind"]: each["name"] for each in resources if "/" not in each["name"]}
        return f"{group}/{place}{self.paths[group][item['kind']]}"

    def send(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.where['token']}"}
        if body:
            headers["Content-Type"] = "application/apply-patch+yaml"
        request = urllib.request.Request(f"{self.where['url']}/{path}", body, headers, method=method)
        return urllib.request.urlopen(request, context=self.tls, timeout=30)


def name(item):
    return f"{item['kind']} {item['metadata']['name']}"


def refused(refusal, objects):
    """Sentences about objects that the API would refuse."""
    # Nothing can be tried in a namespace that is not there.
    ordered = sorted(objects, key=lambda item: item["kind"] != "Namespace")
    for item in ordered:
        if problem := refusal(item, is_real=item["kind"] == "Namespace"):
            yield problem


def unnoticed(refusal, objects):
    """An API server that takes everything would look like a success."""
    [router] = [copy.deepcopy(item) for item in objects if name(item) == "Deployment router"]
    pod = router["spec"]["template"]["spec"]
    pod["securityContext"]["runAsNonRoot"] = False
    if "runAsNonRoot" not in (refusal(router) or ""):
        yield "self-test: the API server takes pods that the namespace forbids"
    pod["containers"][0]["volumeMounts"][0]["name"] = "nowhere"
    if "nowhere" not in (refusal(router) or ""):
        yield "self-test: the API server takes a mount of a volume that is not there"
