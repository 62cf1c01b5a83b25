"""A language model as a source: made late, described by its content, let go when it is done."""

import pytest

from bftembed.bench import Model, NotApplicableError, get_source
from bftembed.engines import Engine
from bftembed.errors import InputError


def test_short_names_and_options(model_dir):
    source = get_source("small=model:transformers:default", engine_options={"dtype": "bfloat16"})
    assert (source.label, source.spec, source.argument) == (
        "small",
        "model:transformers:default",
        "transformers:default",
    )
    described = source.describe()["engine"]
    assert described["dtype"] == "bfloat16"
    assert (
        described
        == get_source(f"model:transformers:{model_dir}", engine_options={"dtype": "bfloat16"}).describe()["engine"]
    )
    assert get_source("model:openai:m@http://localhost:1/v1").label == "model:openai:m@http://localhost:1/v1"


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("model", {}, "`model` is incomplete: write `model:ENGINE`"),
        ("model:nonsense", {}, "`nonsense` is no engine"),
        ("model:default", {"dtyp": "float32"}, "Did you mean `dtype`"),
    ],
)
def test_what_is_no_model(spec, options, message):
    with pytest.raises(InputError, match=message):
        get_source(spec, engine_options=options).check()


def test_a_model_has_no_vectors():
    model = Model("default")
    for ask in (model.genes, model.drugs, model.texts):
        with pytest.raises(NotApplicableError, match="`model:default` has no embedding of"):
            ask(["TP53"])


def test_an_engine_is_made_anew_after_it_was_let_go(model_dir):
    model = Model("default")
    first = model.engine
    assert model.engine is first
    model.release()
    assert model.engine is not first
    assert model.engine.describe() == first.describe()


def test_an_engine_of_the_users_own_stays():
    class Own(Engine):
        name = "own"

        def describe(self):
            return {"engine": "own"}

        def _generate(self, requests, sampling):
            raise NotImplementedError

    engine = Own()
    model = Model(engine)
    assert model.label == "model:own"
    model.release()
    assert model.engine is engine
    assert model.untuned() is None
