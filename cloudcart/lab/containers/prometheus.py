"""Prometheus of a lab in containers. Started by ``containers.shop``; ``lab.prometheus`` runs the program itself."""

from __future__ import annotations

from collections.abc import Mapping

from cloudcart.lab.containers.container import Image, LabContainer
from cloudcart.lab.directory import LabDirectory
from cloudcart.lab.ports import LOOPBACK, hold


class PrometheusContainer(LabContainer):
    """Prometheus, which reads every service once a second.

    Args:
        image: the image's name.
        directory: the lab's.
        ports: the port of each service.
    """

    def __init__(self, image: str, directory: LabDirectory, ports: Mapping[str, int]) -> None:
        from cloudcart.lab.prometheus import scrape_configuration

        self._port = hold(for_others=True)
        address = f"{LOOPBACK}:{self._port.getsockname()[1]}"
        self.url = f"http://{address}"
        configuration = directory.path / "prometheus.yml"
        configuration.write_text(scrape_configuration(ports))
        configuration.chmod(0o644)
        options = [
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            "--storage.tsdb.retention.time=6h",
            f"--web.listen-address={address}",
            "--log.level=warn",
        ]
        files = {configuration: "/etc/prometheus/prometheus.yml"}
        super().__init__("prometheus", Image(image, options, files=files), directory)
