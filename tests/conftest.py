"""What holds for every test: few threads, no network, no deadline on a busy machine."""

import os

workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, min(2, (os.cpu_count() or 1) // workers))))  # before torch or numpy read it
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import ipaddress
import socket

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "calm",
    deadline=None,
    max_examples=60,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("calm")


def pytest_collection_modifyitems(items):
    """The long ones first, so that no worker is left with one of them at the end: the real engine, then the tests in a browser."""
    items.sort(key=lambda item: (item.path.stem != "test_real_engine", "browser" not in item.path.stem))


def _is_here(address) -> bool:
    if not isinstance(address, tuple):  # a Unix socket
        return True
    try:
        return address[0] == "localhost" or ipaddress.ip_address(address[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def no_network():
    """A connection that would leave this machine fails at once and says so."""
    plain = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex")}

    def guarded(name):
        def call(self, address):
            if not _is_here(address):
                raise OSError(f"a test may not reach the network: {address}")
            return plain[name](self, address)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in plain:
            patch.setattr(socket.socket, name, guarded(name))
        yield
