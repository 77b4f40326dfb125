"""The same batches on a Dask cluster: what a user of many machines loses if an executor of theirs is not taken."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import encord_active_widgets as ea


@pytest.mark.filterwarnings("default::DeprecationWarning", "default::ResourceWarning", "default::UserWarning")
def test_a_dask_cluster_computes_what_this_process_computes(shared_data: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install distributed")
    images = sorted(str(f) for f in (shared_data / "photos").iterdir())[:24]
    here = ea.Project.from_folder(images, tmp_path / "here.eaw")
    here.compute("pixels")
    there = ea.Project.from_folder(images, tmp_path / "there.eaw")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster) as client,
        client.get_executor() as executor,
    ):
        there.compute("pixels", executor=executor)
        done = client.run(lambda dask_worker: dask_worker.state.executed_count)
    assert len(done) == 2
    assert sum(done.values()) > 0, "the batches ran on the workers"
    wanted = [c for c, t in here.df.schema.items() if t == pl.Float32]
    assert {"brightness", "sharpness", "entropy"} <= set(wanted)
    by_uri = [p.df.sort("uri").select("uri", *wanted) for p in (here, there)]
    assert by_uri[1].equals(by_uri[0])
    assert there.problems.is_empty()
