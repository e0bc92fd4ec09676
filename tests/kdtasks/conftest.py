import beam_network_examples
import beam_trials
import csi_examples
import lidar_trials
import mimo_trials
import numpy as np
import pytest
import torch
from csi_examples import TASK, drained, silent, tiny, trained_teacher
from csi_network_examples import learnt, networked

from kdtasks.beam_tracking import workload as beam_workload
from kdtasks.csi_feedback.data import ray_traced
from kdtasks.csi_feedback.data.named_sites import CSI_SITES
from kdtasks.csi_feedback.data.site import draw_positions, trace
from kdtasks.data import ray_tracing
from kdtasks.lidar_beam import workload as lidar_workload


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """More threads would change the order of sums, and they only get in each other's way."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory):
    return TASK.load_scenario(tiny(), cache_dir=tmp_path_factory.mktemp("data"), progress=silent)


@pytest.fixture(scope="session")
def tiny_teacher(tiny_data):
    return trained_teacher(tiny_data, method="encoder-kd")


@pytest.fixture
def double_precision():
    """Golden numbers are in it: float32 differs between instruction sets of one CPU."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
    for kept in (*vars(beam_workload).values(), *vars(lidar_workload).values()):
        if hasattr(kept, "cache_clear"):  # sizes in bytes
            kept.cache_clear()


@pytest.fixture(scope="session")
def network_data(tmp_path_factory):
    cache = tmp_path_factory.mktemp("network")
    return TASK.load_scenario(networked(), cache_dir=cache, progress=silent)


@pytest.fixture(scope="session")
def server_teacher(network_data):
    params = networked(method="encoder-kd")
    return drained(TASK.train_teacher(params, network_data.train, network_data.val))[1]


@pytest.fixture(scope="session")
def shares(network_data):
    return TASK.share_out(networked(), network_data.train, "train")


@pytest.fixture(scope="session")
def student(shares):
    """A student that has been trained at the server."""
    return learnt(networked(), shares.server)


@pytest.fixture(scope="session")
def beam_data_tiny(tmp_path_factory):
    cache = tmp_path_factory.mktemp("beams")
    return beam_trials.TASK.load_scenario(beam_trials.tiny(), cache_dir=cache, progress=silent)


@pytest.fixture(scope="session")
def beam_teacher(beam_data_tiny):
    return beam_trials.trained_teacher(beam_data_tiny, method="response")


@pytest.fixture(scope="session")
def lidar_data_tiny(tmp_path_factory):
    cache = tmp_path_factory.mktemp("scans")
    return lidar_trials.TASK.load_scenario(lidar_trials.tiny(), cache_dir=cache, progress=silent)


@pytest.fixture(scope="session")
def lidar_teacher(lidar_data_tiny):
    return lidar_trials.trained_teacher(lidar_data_tiny, method="ordinary")


@pytest.fixture(scope="session")
def mimo_data_tiny(tmp_path_factory):
    cache = tmp_path_factory.mktemp("links")
    return mimo_trials.TASK.load_scenario(mimo_trials.tiny(), cache_dir=cache, progress=silent)


@pytest.fixture(scope="session")
def collective(mimo_data_tiny):
    return mimo_trials.trained_teacher(mimo_data_tiny)


@pytest.fixture(scope="session")
def lidar_network_data(tmp_path_factory):
    cache = tmp_path_factory.mktemp("scans of a network")
    params = lidar_trials.networked()
    return lidar_trials.TASK.load_scenario(params, cache_dir=cache, progress=silent)


@pytest.fixture(scope="session")
def lidar_expert(lidar_network_data):
    """The teacher of a server."""
    params = lidar_trials.networked(method="ordinary")
    return lidar_trials.network_teacher(lidar_network_data, params)


@pytest.fixture(scope="session")
def beam_shares():
    """Shares of a deployment in which edges train with the teacher."""
    params = beam_network_examples.networked("decentralized", method="response")
    return beam_trials.TASK.share_out(params, beam_network_examples.DATA.train, "train")


@pytest.fixture(scope="session")
def beam_expert():
    return beam_network_examples.taught(beam_network_examples.networked(method="response"))


@pytest.fixture(scope="session")
def beam_student(beam_shares):
    """Weights of a student that has been trained at the server."""
    params = beam_network_examples.networked()
    return beam_network_examples.learnt(params, beam_shares.server).weights


@pytest.fixture
def tracer(monkeypatch):
    """Stand in for Sionna RT: paths of a synthetic site round the station; counts its jobs."""
    jobs = []

    def stand_in(program, job, *, scene, progress, files):
        jobs.append(job)
        site, rng = CSI_SITES["site-umi-los"].site, np.random.default_rng(job["seed"])
        places = draw_positions(site, job["count"], rng)
        paths = trace(site, places, carrier_hz=job["carrier_hz"])
        for name in ("gain", "delay", "angle"):
            np.save(files[name], getattr(paths, f"{name}_NP"))
        down = -np.arctan2(job["station_m"][2], 3e8 * paths.delay_NP)
        np.save(files["elevation"], down)
        height = np.full((len(places), 1), job["height_m"])
        np.save(files["positions"], np.hstack([places + job["station_m"][:2], height]))
        progress(job["count"], job["count"], job["unit"])

    monkeypatch.setattr(ray_traced, "run_tracer", stand_in)
    monkeypatch.setattr(ray_tracing, "version", lambda name: f"{name} of the test")
    return jobs


SYSTEMS = {
    "beams": (beam_trials, "beam_data_tiny", "beam_teacher", {"method": "response"}),
    "lidar": (lidar_trials, "lidar_data_tiny", "lidar_teacher", {"method": "datafree"}),
    "csi": (csi_examples, "tiny_data", "tiny_teacher", {"method": "encoder-kd"}),
    "mimo": (mimo_trials, "mimo_data_tiny", "collective", {"method": "learngene-kd"}),
}


@pytest.fixture(params=SYSTEMS)
def system(request):
    """The trials of a system, its data, a trained teacher, and parameters of a method with one."""
    trials, data, trained, params = SYSTEMS[request.param]
    return trials, *map(request.getfixturevalue, (data, trained)), params
