"""The command that builds the images, on an engine that is none: a script in place of ``docker`` says how builds go."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import psutil
import pytest

BUILD = Path(__file__).parents[3] / "infra" / "images" / "build.sh"
DOCKER = """\
#!/bin/sh
case "$*" in
  image*) exit 0 ;; # every base is there
  *{broken}*) echo "the disk is full"; exit 3 ;;
  *) {others} ;;
esac
"""


def build(folder: Path, *names: str, broken: str, others: str) -> subprocess.CompletedProcess[str]:
    """Run the command with a docker whose build of ``broken`` fails; ``others`` is what the other builds do."""
    docker = folder / "docker"
    docker.write_text(DOCKER.format(broken=broken, others=others))
    docker.chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "TMPDIR": str(folder)}
    return subprocess.run(
        [BUILD, *names], env=environment, capture_output=True, text=True, timeout=60, check=False, errors="replace"
    )


@pytest.mark.parametrize(("name", "image"), [("redis", "local/redis:7"), ("cloudcart", "cloudcart:latest")])
def test_a_build_that_fails_ends_the_others(tmp_path, name, image):
    done = build(tmp_path, "postgres", name, broken=image, others="exec sleep 71.5")
    assert done.returncode == 1
    assert f"the disk is full\n{name}: could not be built" in done.stderr
    assert not [each for each in psutil.process_iter(["cmdline"]) if "71.5" in (each.info["cmdline"] or ())]
    assert [path.name for path in tmp_path.iterdir()] == ["docker"]


def test_builds_that_end_well_are_told_with_their_times(tmp_path):
    done = build(tmp_path, "redis", "cloudcart", broken="nothing", others="exec cat >/dev/null </dev/stdin")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.partition(":")[0] for line in sorted(done.stdout.splitlines())] == ["base", "cloudcart", "redis"]


def test_both_ways_to_build_the_projects_image_send_the_same_files():
    ignored = (BUILD.parents[2] / ".dockerignore").read_text().splitlines()
    [sources] = re.findall(r"^sources=\((.*?)\)", BUILD.read_text(), re.MULTILINE)
    assert sorted(line.removeprefix("!") for line in ignored if line.startswith("!")) == sorted(sources.split())
