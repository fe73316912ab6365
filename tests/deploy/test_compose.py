"""The compose stack, without a container engine: its syntax, its paths, its addresses, and the same
command lines over the same files with Debian's programs."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import PROGRAMS
from tests.deploy.machine import ROOT, Machine

HOME = ROOT / "deploy" / "compose"
STACK: dict[str, Any] = yaml.safe_load((HOME / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
CONTAINERFILE = (HOME / "Containerfile").read_text().replace("\\\n", " ")


def mounts(service: str) -> dict[str, Path | None]:
    """By place in the container, the folder of this repository, or None for a volume."""
    found: dict[str, Path | None] = {}
    for text in SERVICES[service].get("volumes", ()):
        shipped = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
        source, target = shipped.split(":")[:2]
        found[target] = HOME / source if source.startswith(".") else None
        if found[target] is None:
            assert source in STACK["volumes"], source
    return found


def shipped(service: str, inside: str) -> Path:
    """The file of this repository that a container sees at `inside`."""
    place = max((one for one in mounts(service) if Path(inside).is_relative_to(one)), key=len)
    folder = mounts(service)[place]
    assert folder is not None
    return folder / Path(inside).relative_to(place)


def flag(service: str, name: str) -> str:
    return next(
        one.partition("=")[2] for one in SERVICES[service]["command"] if one.startswith(name + "=")
    )


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="needs docker-compose (Debian)")
def test_compose_understands_it() -> None:
    done = subprocess.run(
        ["docker-compose", "config", "--quiet"],
        cwd=HOME,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_reads_is_in_this_repository(service: str) -> None:
    for target, folder in mounts(service).items():
        assert folder is None or folder.is_dir(), f"{target}: no folder {folder}"
    for word in SERVICES[service].get("command", ()):
        if word.startswith("--config.file="):
            assert shipped(service, word.partition("=")[2]).is_file()


def test_the_addresses_are_those_of_the_shipped_settings() -> None:
    scraped = yaml.safe_load(shipped("prometheus", "/etc/prometheus/prometheus.yml").read_text())
    hub = yaml.safe_load(shipped("collector", "/etc/pantau/collector.yaml").read_text())
    collector = f"localhost:{hub['http']['port']}"
    for job in scraped["scrape_configs"]:
        assert job["static_configs"][0]["targets"] == [collector], job["job_name"]
    assert f"http://{collector}/-/healthy" in SERVICES["collector"]["healthcheck"]["test"][-1]
    port = flag("alertmanager", "--web.listen-address").removeprefix("127.0.0.1:")
    told = scraped["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert told == [f"localhost:{port}"]
    port = flag("prometheus", "--web.listen-address").removeprefix("127.0.0.1:")
    grafana = SERVICES["grafana"]["environment"]
    assert grafana["PANTAU_PROMETHEUS_URL"] == f"http://localhost:{port}"
    assert hub["data_dir"] in mounts("collector")
    secrets = yaml.safe_load(
        shipped("alertmanager", "/etc/alertmanager/alertmanager.yml").read_text()
    )["global"]["smtp_auth_password_file"]
    assert shipped("alertmanager", str(Path(secrets).parent)).is_dir()


def test_grafana_finds_its_datasource_and_its_dashboards() -> None:
    provisioning = shipped("grafana", "/etc/grafana/provisioning")
    told = SERVICES["grafana"]["environment"]
    used = set()
    for file in provisioning.rglob("*.y*ml"):
        settings = re.sub(r"#.*", "", file.read_text())
        used |= set(re.findall(r"\$\{(PANTAU_\w+)\}", settings))
        for place in re.findall(r"path: *(\S+)", settings):
            inside = place.replace("${PANTAU_DASHBOARDS}", told["PANTAU_DASHBOARDS"])
            assert list(shipped("grafana", inside).glob("*.json")), inside
    assert used == {name for name in told if name.startswith("PANTAU_")}


def test_the_image_copies_what_is_there_and_what_is_let_in() -> None:
    let_in = (HOME / "Containerfile.dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE, re.MULTILINE)
    assert copied
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name
        assert f"!{name.rstrip('/')}" in let_in, name
    build = re.search(r"packages = \[(.+)\]", (ROOT / "pyproject.toml").read_text())
    assert build is not None
    for package in json.loads(f"[{build[1]}]"):
        assert f"{package}/ {package}/" in CONTAINERFILE
    known = ("FROM", "WORKDIR", "COPY", "RUN", "ENV", "ENTRYPOINT", "CMD", "STOPSIGNAL")
    for line in CONTAINERFILE.splitlines():
        assert not line.strip() or line.startswith((*known, "#")), line


def instruction(name: str) -> list[str]:
    found = re.search(rf"^{name} (\[.+\])$", CONTAINERFILE, re.MULTILINE)
    assert found is not None
    return list(json.loads(found[1]))


@pytest.mark.lab
@pytest.mark.prometheus
@pytest.mark.alertmanager
def test_debians_programs_run_by_the_same_words_over_the_same_files(bare: Machine) -> None:
    for service in ("collector", "prometheus", "alertmanager"):
        for target, folder in mounts(service).items():
            bare.run(f"mkdir -p {target}")
            if folder is not None and service != "collector":
                bare.run(f"mount --bind -o ro {folder} {target}")
    # Of the image: its user and its folders, and this environment's programs.
    user = re.search(r"^RUN (useradd .+?) && (install .+)$", CONTAINERFILE, re.MULTILINE)
    assert user is not None
    bare.run(f"{user[1]}; {user[2]}; mount --bind -o ro {ROOT / 'configs'} /etc/pantau")
    limits = ",".join(["-all", *(f"+{one.lower()}" for one in SERVICES["collector"]["cap_add"])])
    contained = f"setpriv --bounding-set={limits} --inh-caps=-all --no-new-privs"
    collector = shlex.join([*instruction("ENTRYPOINT"), *instruction("CMD")])
    start = "setsid {} >/run/units/{}.log 2>&1 </dev/null &"
    bare.run(
        start.format(f"{contained} {collector}", "collector"), PATH=f"{PROGRAMS}:/usr/bin:/bin"
    )
    for program, service in (
        ("prometheus", "prometheus"),
        ("prometheus-alertmanager", "alertmanager"),
    ):
        bare.run(start.format(shlex.join([program, *SERVICES[service]["command"]]), service))

    bare.until("curl -sf http://localhost:8460/-/ready")
    assert (
        "CapEff:\t0000000000000400" in bare.run("cat /proc/$(pgrep -o -u pantau)/status").stdout
    ), "CAP_NET_BIND_SERVICE alone"
    prometheus = SERVICES["grafana"]["environment"]["PANTAU_PROMETHEUS_URL"]
    bare.until(f"curl -sf '{prometheus}/api/v1/query?query=up==1' | jq -e '.data.result[0]'")
    bare.until(f"curl -sf {prometheus}/api/v1/rules | jq -e '.data.groups | length > 3'")
    bare.until(f"curl -sf {prometheus}/api/v1/alertmanagers | jq -e '.data.activeAlertmanagers[0]'")
    receivers = bare.until("curl -sf http://localhost:9093/api/v2/receivers")
    assert {"noc", "night", "office", "watchdog"} <= {one["name"] for one in json.loads(receivers)}
