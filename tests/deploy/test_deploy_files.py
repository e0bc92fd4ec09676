"""What the files for clusters say must be true of this version: commands, options, versions."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import ray.autoscaler
import typer.main
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from search_spaces.study import available
from sweeps.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
RAYJOB, CLUSTER, DOCKERFILE, LOCK, GUIDE = (
    ROOT / name
    for name in (
        "deploy/rayjob.yaml",
        "deploy/cluster.yaml",
        "deploy/Dockerfile",
        "deploy/requirements.lock",
        "docs/cluster.md",
    )
)
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
PINNED = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if "==" in line and not line.startswith("#")
)


def invocations(path: Path) -> Iterator[list[str]]:
    """Yield the words after ``kdsweep`` wherever a file, or its comments, gives a command."""
    joined = re.sub(r"\\\n#?\s*", "", path.read_text())
    for line in joined.splitlines():
        for found in re.finditer(r"(^|[\s`'(/])kdsweep ([a-z]+[^`#&|;)]*)", line):
            given = found[2].partition("'")[0] if found[1] == "'" else found[2]
            words = shlex.split(given)
            if words[0] in COMMANDS or any(word.startswith("--") for word in words):
                yield words


@pytest.mark.parametrize("path", [RAYJOB, CLUSTER, GUIDE], ids=lambda path: path.name)
def test_commands_and_their_options_exist(path: Path) -> None:
    found = list(invocations(path))
    assert len(found) >= 2
    for command, *words in found:
        assert command in COMMANDS, f"kdsweep {command}"
        options = {name for param in COMMANDS[command].params for name in param.opts}
        for word in words:
            if word.startswith("--"):
                assert word.partition("=")[0] in options, f"kdsweep {command} {word}"


@pytest.mark.parametrize("path", [RAYJOB, CLUSTER, GUIDE], ids=lambda path: path.name)
def test_studies_that_are_run_exist(path: Path) -> None:
    for command, *words in invocations(path):
        if command == "run" and words and not words[0].endswith(".yaml"):
            assert words[0] in available()


def test_variables_of_ours_are_read_by_the_command() -> None:
    params = [param for command in COMMANDS.values() for param in command.params]
    read = {param.envvar for param in params if getattr(param, "envvar", None)}
    for path in (RAYJOB, DOCKERFILE, GUIDE):
        assert set(re.findall(r"KDSWEEP_[A-Z_]+", path.read_text())) <= read


def test_the_launchers_file_follows_its_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema.validate(yaml.safe_load(CLUSTER.read_text()), schema)
    # and so does the example for a cloud in its comments
    lines = CLUSTER.read_text().splitlines()
    cloud = "\n".join(line[4:] for line in lines if line.startswith("#   ") and ":" in line[:26])
    begin = cloud.index("provider:")
    example = yaml.safe_load(f"cluster_name: kdsweep\n{cloud[begin:]}")
    assert example["provider"]["type"] == "aws"
    jsonschema.validate(example, schema)
    assert example["head_node_type"] in example["available_node_types"]


def test_the_manifest_is_made_of_what_kuberay_has() -> None:
    settings, _, job = yaml.safe_load_all(RAYJOB.read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster.keys() == {"rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs"}
    assert job["spec"].keys() <= {
        "entrypoint", "backoffLimit", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished",
        "rayClusterSpec", "submitterPodTemplate",
    }  # fmt: skip
    assert cluster["rayVersion"] == PINNED["ray"] == ray.__version__
    assert cluster["authOptions"]["mode"] == "token"
    script = job["spec"]["entrypoint"].split("/")[-1]
    assert script in settings["data"]
    head = cluster["headGroupSpec"]["template"]["spec"]
    mounted = {mount["name"]: mount["mountPath"] for mount in head["containers"][0]["volumeMounts"]}
    assert mounted.keys() == {volume["name"] for volume in head["volumes"]}
    assert job["spec"]["entrypoint"].split()[-1] == f"{mounted['config']}/{script}"
    assert head["volumes"][0]["configMap"]["name"] == settings["metadata"]["name"]
    [group] = cluster["workerGroupSpecs"]
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    images = {each["image"] for _, pod in pods() for each in pod["spec"]["containers"]}
    assert len(images) == 1


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every pod that the manifest makes, by what it is for."""
    *_, job = yaml.safe_load_all(RAYJOB.read_text())
    cluster = job["spec"]["rayClusterSpec"]
    yield "submitter", job["spec"]["submitterPodTemplate"]
    yield "head", cluster["headGroupSpec"]["template"]
    for group in cluster["workerGroupSpecs"]:
        yield group["groupName"], group["template"]


@pytest.mark.parametrize(("name", "pod"), list(pods()), ids=[name for name, _ in pods()])
def test_pods_may_do_no_more_than_they_need(name: str, pod: dict[str, Any]) -> None:
    """The profile "restricted" of Kubernetes' Pod Security Standards, and no token of its API.

    An autoscaler would be one more container, which KubeRay adds, and would need that token.
    """
    spec = pod["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for container in spec["containers"]:
        confined = container["securityContext"]
        assert confined["allowPrivilegeEscalation"] is False
        assert confined["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"].keys() == {"cpu", "memory"}


def test_the_network_policy_covers_every_pod_and_lets_strangers_at_no_port() -> None:
    _, policy, _ = yaml.safe_load_all(RAYJOB.read_text())
    assert (policy["apiVersion"], policy["kind"]) == ("networking.k8s.io/v1", "NetworkPolicy")
    [(key, value)] = policy["spec"]["podSelector"]["matchLabels"].items()
    assert all(pod["metadata"]["labels"][key] == value for _, pod in pods())
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    inside, dns, storage = policy["spec"]["egress"]
    assert inside == {"to": [{"podSelector": {"matchLabels": {key: value}}}]}
    assert {port["port"] for port in dns["ports"]} == {53}
    [place] = storage["to"]
    assert ip_network(place["ipBlock"]["cidr"]).num_addresses < 2**24  # never everybody
    assert [port["port"] for port in storage["ports"]] == [443]
    own, operator = policy["spec"]["ingress"]
    assert own == {"from": [{"podSelector": {"matchLabels": {key: value}}}]}
    assert [port["port"] for port in operator["ports"]] == [8265]
    for peer in operator["from"]:
        # a label alone is no proof: in a namespace of their own others give their pods any
        assert peer["podSelector"]["matchLabels"]
        assert peer["namespaceSelector"]["matchLabels"].keys() == {"kubernetes.io/metadata.name"}


def secrets(node: Any) -> Iterator[str]:
    """Yield names of variables that have their value in the file itself."""
    if isinstance(node, dict):
        if "value" in node and "name" in node:
            yield node["name"]
        for child in node.values():
            yield from secrets(child)
    elif isinstance(node, list):
        for child in node:
            yield from secrets(child)


def test_no_secret_stands_in_the_manifest() -> None:
    named = [name for part in yaml.safe_load_all(RAYJOB.read_text()) for name in secrets(part)]
    assert sorted(set(named)) == ["KDSWEEP_HOME", "KDSWEEP_STORAGE"]


def test_the_image_copies_what_there_is() -> None:
    text = DOCKERFILE.read_text()
    header = (ROOT / "constraints.txt").read_text().splitlines()[0]
    python = re.search(r"Python (\d\.\d+)", header)
    assert python is not None
    # a tag names another image every few weeks; the digest has no default, so it must be given
    assert re.findall(r"^FROM (.+)$", text, re.MULTILINE) == [
        f"python:{python[1]}-slim@${{BASE_DIGEST}}"
    ]
    assert re.findall(r"^ARG (.+)$", text, re.MULTILINE) == ["BASE_DIGEST"]
    copied = re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    assert all((ROOT / name).exists() for name in names)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert packages <= set(names)


@pytest.mark.parametrize("path", [DOCKERFILE, CLUSTER], ids=lambda path: path.name)
def test_everything_that_is_installed_from_an_index_has_a_known_hash(path: Path) -> None:
    text = re.sub(r"\\\n\s*", "", path.read_text())
    libraries, ours = re.findall(r"^(?:RUN|  -) '?(.*pip install[^'\n]*)", text, re.MULTILINE)
    assert "--require-hashes --only-binary :all:" in libraries
    assert libraries.endswith(LOCK.name)
    assert {"--no-index", "--no-deps", "--no-build-isolation"} <= set(ours.split())


def test_make_locked_installs_nothing_without_a_known_hash() -> None:
    text = re.sub(r"\\\n\s*", "", (ROOT / "Makefile").read_text())
    libraries, ours = re.findall(r"pip install (.*)", text[text.index("\nlocked:") :])[:2]
    assert "--require-hashes --only-binary :all:" in libraries
    assert libraries.endswith(f"deploy/{LOCK.name}")
    assert {"--no-index", "--no-deps", "--no-build-isolation"} <= set(ours.split())


def test_machines_of_a_cluster_write_nothing_for_all_users() -> None:
    commands = yaml.safe_load(CLUSTER.read_text())
    for kind in ("head", "worker"):
        *_, start = commands[f"{kind}_start_ray_commands"]
        assert start.startswith("umask 027; ")


def locked() -> dict[str, tuple[str, list[str]]]:
    """Return version and hashes of every package of the list."""
    entries = re.findall(
        r"^([\w.-]+)==(\S+) \\\n((?: +--hash=\S+(?: \\)?\n?)+)", LOCK.read_text(), re.M
    )
    return {
        canonicalize_name(name): (version, re.findall(r"--hash=sha256:([0-9a-f]{64})", hashes))
        for name, version, hashes in entries
    }


def test_the_list_has_only_packages_with_hashes_and_names_no_place() -> None:
    text = LOCK.read_text()
    assert len(locked()) == len(re.findall(r"^[^#\s]", text, re.MULTILINE))
    assert all(hashes for _, hashes in locked().values())
    assert not re.search(r"://|--(?:extra-)?index|--find-links|/", text)


def test_the_list_has_the_versions_of_the_constraints() -> None:
    pinned = {canonicalize_name(name): version for name, version in PINNED.items()}
    pinned["torch"] += "+cpu"
    found = {name: version for name, (version, _) in locked().items() if name in pinned}
    assert found == {name: pinned[name] for name in found}


def test_the_list_has_all_that_kdsweep_needs() -> None:
    """What its requirements, and theirs, come to; of those of a cluster what is installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needs = project["project"]["dependencies"] + project["build-system"]["requires"]
    wanted = [Requirement(need) for need in needs]
    wanted += map(Requirement, project["project"]["optional-dependencies"]["cluster"])
    seen: set[str] = set()
    while wanted:
        need = wanted.pop()
        if str(need) in seen:
            continue
        seen.add(str(need))
        version, _ = locked()[canonicalize_name(need.name)]
        assert need.specifier.contains(version), need
        with suppress(PackageNotFoundError):
            for line in requires(need.name) or []:
                further = Requirement(line)
                extras = need.extras or {""}
                if further.marker is None or any(
                    further.marker.evaluate({"extra": extra}) for extra in extras
                ):
                    wanted.append(further)
    assert len(seen) > len(needs)
