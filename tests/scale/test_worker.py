"""What a worker does with a batch, in this process."""

import pickle

import numpy as np
import pytest

import bftembed as bft
from bftembed.engines import AnnotationEngine, Completion
from bftembed.profiles import Entity, ProfileStore
from bftembed.scale.parts import Parts
from bftembed.scale.worker import Batch, Job, Writer, write_part

ENTITIES = [Entity("cell_type", f"type {i}") for i in range(6)]


@pytest.fixture
def job(slow, tmp_path):
    Parts(tmp_path / "parts")
    return Job.of(slow.Slow(str(tmp_path / "log")), slow.Letters(), parts=tmp_path / "parts")


def batch_of(job, entities=ENTITIES, known=()):
    keys = [f"key of {entity.id}" for entity in entities]
    return Batch(keys, list(entities), list(known), [])


def rows(job, *batches):
    return Writer(job)({"batch": [pickle.dumps(batch) for batch in batches]})


def test_a_part_is_a_store_and_its_vectors(job, tmp_path):
    assert rows(job, batch_of(job)) == {"n": [6], "kind": [""], "error": [""]}
    parts = Parts(job.parts)
    assert [path.name for path in parts.files()] == [batch_of(job).part(job).name]
    with ProfileStore(tmp_path / "all.sqlite") as store:
        parts.merge(store)
        frame = store.frame(kind="cell_type")
    assert sorted(frame["entity"]) == [entity.id for entity in ENTITIES]
    assert parts.done(job.encoder_digest) == set(frame["key"])
    assert parts.done("another") == set() == set(parts.vectors("another"))
    vectors = parts.vectors(job.encoder_digest)
    expected, _ = job.encoder.encode(frame["text"].tolist())
    np.testing.assert_array_equal([vectors[text][0] for text in frame["text"]], expected)
    assert not any(split for _, split in vectors.values())


def test_a_part_that_is_there_is_not_written_again(job, tmp_path):
    write_part(batch_of(job), job)
    before = batch_of(job).part(job).stat().st_mtime_ns
    write_part(batch_of(job), job)
    assert batch_of(job).part(job).stat().st_mtime_ns == before
    assert len((tmp_path / "log").read_text().splitlines()) == len(ENTITIES)


def test_stored_texts_are_only_encoded(job, tmp_path):
    with ProfileStore(tmp_path / "store.sqlite") as store:
        written = bft.profiles.write_profiles(ENTITIES, job.engine, store=store)
        recipes = list(store.recipes().values())
    n = len((tmp_path / "log").read_text().splitlines())
    write_part(Batch([p.key for p in written.profiles], ENTITIES, written.profiles, recipes), job)
    assert len((tmp_path / "log").read_text().splitlines()) == n
    assert set(Parts(job.parts).vectors(job.encoder_digest)) == set(written.texts)


@pytest.mark.filterwarnings("ignore:.*no write-ahead log")
def test_full_disk(job, small_files):
    with small_files(2000):
        (error,) = rows(job, batch_of(job))["error"]
    assert error.startswith("On ")
    assert "Free space" in error or "free space" in error or "free some space" in error
    assert Parts(job.parts).files() == []


def test_another_model_than_where_the_run_began(job):
    class Odd(AnnotationEngine):
        def describe(self):
            return {"engine": "slow", "dtype": "bfloat16"}

    there = Job(Odd(), job.encoder, None, None, job.parts, job.described | {"engine": {"engine": "slow"}})
    told = rows(there, batch_of(job))
    assert told["kind"] == ["ClusterError"]
    assert "the engine has dtype=bfloat16 here and None where the run began" in told["error"][0]


def test_a_model_that_a_node_does_not_have(job, tmp_path):
    class Read(AnnotationEngine):
        def describe(self):
            return {"engine": (tmp_path / "nowhere").read_text()}

    told = rows(Job(Read(), job.encoder, None, None, job.parts, job.described), batch_of(job))
    assert told["kind"] == ["ClusterError"]
    assert "the model of the engine is not here" in told["error"][0]
    assert "nowhere'): it has to lie under the same path on every node" in told["error"][0]


def test_a_failed_request_has_another_part_in_the_next_run(job):
    class Away(type(job.engine)):
        def _generate(self, requests, sampling):
            yield [Completion(request.id, "", "error", error="away") for request in requests]

    failing = Job(Away(job.engine.log), job.encoder, None, None, job.parts, job.described)
    write_part(batch_of(job), failing)
    parts = Parts(job.parts)
    assert parts.done(job.encoder_digest) == set() == set(parts.vectors(job.encoder_digest))
    with ProfileStore(job.parts / "texts.sqlite") as store:
        parts.merge(store)
        failed = store.frame()
        known = list(store.get(failed["key"]).values())
        recipes = list(store.recipes().values())
    again = Batch(failed["key"].tolist(), ENTITIES, known, recipes)
    write_part(again, job)
    assert parts.done(job.encoder_digest) == set(failed["key"])
    assert len(parts.files()) == 2


def test_what_fails_again_and_again_is_asked_in_every_run(job, tmp_path):
    class Away(type(job.engine)):
        def _generate(self, requests, sampling):
            yield [Completion(request.id, "", "error", error="away") for request in requests]

    failing = Job(Away(job.engine.log), job.encoder, None, None, job.parts, job.described)
    with ProfileStore(tmp_path / "texts.sqlite") as store:
        keys = list(bft.profiles.plan_profiles(ENTITIES, failing.engine, store=store).keys)
        for n in range(1, 7):
            write_part(Batch(keys, ENTITIES, list(store.get(keys).values()), []), failing)
            parts = Parts(job.parts)
            assert len(parts.files()) == n
            parts.merge(store)  # all of them once more, as each run does at its beginning


def test_the_embedded_encoder_gives_what_embed_gives(slow, tmp_path):
    pytest.importorskip("sentence_transformers", reason="pip install 'bftembed[local]'")
    engine = slow.Slow(str(tmp_path / "log"))
    names = [entity.id for entity in ENTITIES]
    plain = bft.embed(names, kind="cell", engine=engine, store=tmp_path / "plain.sqlite")
    parts = Parts(tmp_path / "parts")
    encoder = bft.encoders.get_encoder("default")
    job = Job.of(engine, encoder, parts=parts.directory)
    for start in (0, 3):
        write_part(batch_of(job, ENTITIES[start : start + 3]), job)
    vectors = parts.vectors(job.encoder_digest)
    found = np.stack([vectors[text][0] for text in plain.obs["X_bft_text"]])
    np.testing.assert_allclose(found, plain.X, atol=1e-6)  # batches of other sizes differ in the last bits
