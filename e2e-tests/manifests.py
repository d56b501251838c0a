"""Judges what Kustomize has built: by Kubernetes' own schemas, and by what no schema knows.

    manifests.py BUILT.yaml REPOSITORY

Prints each mistake with the object that has it, and exits with 1 if there is one.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import kubernetes_validate
import yaml

# The oldest version of Kubernetes that knows everything that is used, and the newest one whose schemas are at hand.
VERSIONS = ["1.29.0", "1.37.0"]
# Where pods stand within an object.
WORKLOADS = {
    "Deployment": ["spec", "template"],
    "StatefulSet": ["spec", "template"],
    "CronJob": ["spec", "jobTemplate", "spec", "template"],
}
# Settings whose values are secret, and addresses that hold a password.
SECRET = re.compile(r"PASSWORD|SECRET|ACCESS_KEY|API_KEY|TRACES$|AUTHORIZATION$")
WITH_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]*@")
# The one image whose root file system is written to, see single/kafka.yaml.
WRITES_ITS_ROOT = "apache/kafka"


def main(built: str, repository: Path) -> int:
    objects = [it for it in yaml.safe_load_all(Path(built).read_text()) if it]
    compose = yaml.safe_load((repository / "docker-compose.yml").read_text())
    adapter = yaml.safe_load((repository / "deploy/kubernetes/monitoring/adapter.yaml").read_text())
    scraping = yaml.safe_load((repository / "deploy/kubernetes/monitoring/prometheus.yml").read_text())
    mistakes = [
        *of_schemas(objects),
        *of_pods(objects),
        *of_references(objects),
        *of_selectors(objects),
        *of_secrets(objects),
        *of_compose(objects, compose),
        *of_autoscalers(objects, adapter),
        *of_monitoring(adapter, scraping, repository / "deploy"),
    ]
    for mistake in mistakes:
        print(f"ERROR: {Path(built).stem}: {mistake}", file=sys.stderr)
    if not mistakes:
        print(f"{Path(built).stem}: {len(objects)} objects are as they should be")
    return 1 if mistakes else 0


def of_schemas(objects):
    for it in objects:
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(it, version, strict=True)
            except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
                where = "/".join(map(str, getattr(error, "absolute_path", [])))
                yield f"{name_of(it)}: Kubernetes {version}: {where}: {error.message}"


def of_pods(objects):
    """What each pod and container has to have."""
    for it, template in pods(objects):
        spec, name = template["spec"], name_of(it)
        if spec.get("automountServiceAccountToken") is not False or spec.get("enableServiceLinks") is not False:
            yield f"{name}: a pod gets a token, or variables that name services"
        context = spec.get("securityContext", {})
        if not (context.get("runAsNonRoot") and context.get("runAsUser", 0) > 0):
            yield f"{name}: a pod may run as root"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{name}: a pod has no seccompProfile RuntimeDefault"
        if "terminationGracePeriodSeconds" not in spec:
            yield f"{name}: it is not said how long a stop may take"
        for container in containers(spec):
            yield from (f"{name}: {mistake}" for mistake in of_container(container, it["kind"] != "CronJob"))


def of_container(container, goes_on):
    context = container.get("securityContext", {})
    if context.get("allowPrivilegeEscalation") is not False or context.get("capabilities") != {"drop": ["ALL"]}:
        yield "a container keeps capabilities, or may gain some"
    writes = container["image"].startswith(f"{WRITES_ITS_ROOT}:")
    if bool(context.get("readOnlyRootFilesystem")) == writes:
        yield f"the root file system of {container['image']} has to be {'writable' if writes else 'read-only'}"
    requests, limits = (container.get("resources", {}).get(kind, {}) for kind in ("requests", "limits"))
    if not {"cpu", "memory"} <= requests.keys() or requests.get("memory") != limits.get("memory"):
        yield "a container has to request processors and memory, and the latter is its limit"
    if ":" not in container["image"]:
        yield f"the image {container['image']} has no tag"
    ports = {port["name"] for port in container.get("ports", [])}
    for probe in ("livenessProbe", "readinessProbe") if goes_on else ():
        asked = container.get(probe)
        if not asked:
            yield f"a container has no {probe}"
            continue
        for how in ("httpGet", "tcpSocket"):
            if how in asked and asked[how]["port"] not in ports:
                yield f"{probe} asks the port {asked[how]['port']}, which the container does not name"


def of_references(objects):
    """What pods name exists; Secrets alone are the operator's."""
    there = {(it["kind"], it["metadata"]["name"]) for it in objects}
    for it, template in pods(objects):
        spec, named = template["spec"], set()
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        own = {claim["metadata"]["name"] for claim in it["spec"].get("volumeClaimTemplates", [])}
        for container in containers(spec):
            mounts = {mount["name"] for mount in container.get("volumeMounts", [])}
            for name in mounts - volumes.keys() - own:
                yield f"{name_of(it)}: there is no volume {name}"
            named |= {("ConfigMap", ref["configMapRef"]["name"]) for ref in container.get("envFrom", []) if "configMapRef" in ref}
        named |= {("ConfigMap", volume["configMap"]["name"]) for volume in volumes.values() if "configMap" in volume}
        claims = [volume["persistentVolumeClaim"] for volume in volumes.values() if "persistentVolumeClaim" in volume]
        named |= {("PersistentVolumeClaim", claim["claimName"]) for claim in claims}
        if "serviceAccountName" in spec:
            named.add(("ServiceAccount", spec["serviceAccountName"]))
        if it["kind"] == "StatefulSet":
            named.add(("Service", it["spec"]["serviceName"]))
        for kind, name in sorted(named - there):
            yield f"{name_of(it)}: there is no {kind} {name}"


def of_selectors(objects):
    """Whatever selects pods finds some, which have the ports that it names."""
    for it in objects:
        spec, selector = it.get("spec", {}), None
        if it["kind"] == "Service":
            selector = spec["selector"]
        elif it["kind"] == "NetworkPolicy":
            selector = spec["podSelector"].get("matchLabels", {})
            peers = [peer for rule in spec.get("ingress", []) + spec.get("egress", []) for peer in rule.get("from", rule.get("to", []))]
            for peer in peers:
                if "podSelector" in peer and "namespaceSelector" not in peer and not selected(objects, peer["podSelector"]["matchLabels"]):
                    yield f"{name_of(it)}: no pod has the labels {peer['podSelector']['matchLabels']}"
        elif it["kind"] in ("PodDisruptionBudget", "Deployment", "StatefulSet"):
            selector = spec["selector"]["matchLabels"]
        if selector is None:
            continue
        found = selected(objects, selector)
        if not found:
            yield f"{name_of(it)}: no pod has the labels {selector}"
        if it["kind"] in ("Deployment", "StatefulSet") and len(found) != 1:
            yield f"{name_of(it)}: its selector means pods of others, too"
        rules = spec.get("ingress", []) if it["kind"] == "NetworkPolicy" else []
        named = [port["port"] for rule in rules for port in rule["ports"]]
        named += [port["targetPort"] for port in spec.get("ports", [])] if it["kind"] == "Service" else []
        there = {port["name"] for template in found for c in containers(template["spec"]) for port in c.get("ports", [])}
        for port in named:
            if port not in there:
                yield f"{name_of(it)}: no pod that it selects has the port {port}"


def of_secrets(objects):
    """No secret stands in a manifest."""
    for it in objects:
        if it["kind"] == "Secret":
            yield f"{name_of(it)}: Secrets are created by the operator, not by files"
        values = list(it.get("data", {}).items()) if it["kind"] == "ConfigMap" else []
        for _, template in pods([it]):
            for container in containers(template["spec"]):
                values += [(env["name"], env.get("value", "")) for env in container.get("env", [])]
        for name, value in values:
            if (SECRET.search(name) and value) or WITH_PASSWORD.search(value):
                yield f"{name_of(it)}: {name} is secret: leave it to the Secret braid-secrets"


def of_compose(objects, compose):
    """Images, programs and times to stop are those of the compose file."""
    services = compose["services"]
    images = {default_of(service["image"]) for service in services.values()}
    for it, template in pods(objects):
        component = template["metadata"]["labels"].get("app.kubernetes.io/component")
        for container in containers(template["spec"]):
            image, own = container["image"], container["image"].rsplit(":", 1)[0].rsplit("/", 1)[-1] == "braid"
            if not own and image not in images:
                yield f"{name_of(it)}: docker-compose.yml has no image {image}, but {sorted(images)}"
            service = services.get(component)
            if own and service and container["args"] != service["command"]:
                yield f"{name_of(it)}: docker-compose.yml runs {service['command']}, and not {container['args']}"
            stops = int(service["stop_grace_period"].removesuffix("s")) if service else 0
            if template["spec"]["terminationGracePeriodSeconds"] < stops:
                yield f"{name_of(it)}: docker-compose.yml gives it {stops} s to stop"


def of_autoscalers(objects, adapter):
    named = {rule["name"]["as"] for rule in adapter["rules"]["external"]}
    for it in (it for it in objects if it["kind"] == "HorizontalPodAutoscaler"):
        target = it["spec"]["scaleTargetRef"]
        found = [other for other in objects if (other["kind"], other["metadata"]["name"]) == (target["kind"], target["name"])]
        if not found or "replicas" in found[0]["spec"]:
            yield f"{name_of(it)}: {target['name']} does not exist, or says itself how many pods it has, which each `apply` would set anew"
        for metric in (metric for metric in it["spec"]["metrics"] if metric["type"] == "External"):
            if metric["external"]["metric"]["name"] not in named:
                yield f"{name_of(it)}: monitoring/adapter.yaml provides {sorted(named)}, and not {metric['external']['metric']['name']}"


def of_monitoring(adapter, scraping, deploy):
    """The configuration is one that Prometheus takes, and the adapter's query gives a number where one is known and nothing elsewhere."""
    for scrape in scraping["scrape_configs"]:
        # Debian's Prometheus is built without this.
        del scrape["kubernetes_sd_configs"]
    rules = [str((deploy / "kubernetes/monitoring" / path).resolve()) for path in scraping["rule_files"]]
    yield from promtool(["check", "config"], {**scraping, "rule_files": rules})
    rule = adapter["rules"]["external"][0]
    query = rule["metricsQuery"].replace("<<.Series>>", rule["seriesQuery"].split("{")[0])
    query = query.replace("<<.LabelMatchers>>", 'namespace="a"')
    series = rule["seriesQuery"].split("{")[0]
    told = [
        # Two processes tell of one source, one of them later, and a third one does not know. Another namespace is not asked for.
        ('namespace="a",source="views",pod="1"', "100 NaN"),
        ('namespace="a",source="views",pod="2"', "90 NaN"),
        ('namespace="a",source="views",pod="3"', "NaN NaN"),
        ('namespace="a",source="clicks",pod="1"', "7 NaN"),
        ('namespace="b",source="views",pod="4"', "1000 1000"),
    ]
    test = {
        "interval": "1m",
        "input_series": [{"series": f"{series}{{{labels}}}", "values": values} for labels, values in told],
        "promql_expr_test": [
            {"expr": query, "eval_time": "0m", "exp_samples": [{"labels": "{}", "value": 107}]},
            {"expr": query, "eval_time": "1m", "exp_samples": []},
        ],
    }
    yield from promtool(["test", "rules"], {"tests": [test]})


def promtool(arguments, document):
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump(document, file)
        file.flush()
        ended = subprocess.run(["promtool", *arguments, file.name], capture_output=True, text=True)
    if ended.returncode != 0:
        yield f"monitoring: promtool {' '.join(arguments)}: {ended.stdout}{ended.stderr}"


def pods(objects):
    for it in objects:
        if it["kind"] in WORKLOADS:
            template = it
            for step in WORKLOADS[it["kind"]]:
                template = template[step]
            yield it, template


def selected(objects, labels):
    return [template for _, template in pods(objects) if labels.items() <= template["metadata"]["labels"].items()]


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def default_of(image):
    """`image` without the variable of .env that replaces it."""
    return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", image)


def name_of(it):
    return f"{it['kind']} {it['metadata']['name']}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
