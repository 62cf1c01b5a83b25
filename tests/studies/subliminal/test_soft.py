import pytest
import torch

from bftembed.engines import TransformersEngine
from bftembed.models.causal import load_model
from bftembed.studies.subliminal.soft import SoftTuner
from bftembed.tune.config import Training
from bftembed.tune.data.dataset import Collator, TokenDataset
from bftembed.tune.loss.places import located
from bftembed.tune.supervised import training_arguments


@pytest.fixture
def data():
    draws = torch.Generator().manual_seed(1)
    rows = [torch.randint(3, 70, (length,), generator=draws).tolist() for length in (9, 14, 7)]
    return TokenDataset(((row, [n > 3 for n in range(len(row))]) for row in rows), max_length=64)


def test_the_loss_is_the_divergence_from_the_teacher_over_supervised_tokens(letters_model, data, tmp_path):
    student = load_model(letters_model, "float32")
    teacher = load_model(letters_model, "float32")
    with torch.no_grad():
        for weight in teacher.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)))
    arguments = training_arguments(Training(max_steps=1, batch_size=3), tmp_path, evaluate=False)
    tuner = SoftTuner(student, arguments, teacher=teacher, train_dataset=data, data_collator=Collator(0))
    batch = located(Collator(0)([data[0], data[1], data[2]]))
    tuner._global = {"n_tokens": batch["lengths"].sum()}
    student.train()
    loss = tuner.compute_loss(student, batch)
    total = n = 0
    for row in range(3):
        sample = data[row]
        ids = torch.tensor(sample["input_ids"])[None]
        with torch.no_grad():
            one, other = (each(ids).logits[0].double().log_softmax(-1) for each in (teacher, student))
        places = [place - 1 for place, label in enumerate(sample["labels"]) if label != -100]
        total += float((one.exp() * (one - other))[places].sum())
        n += len(places)
    assert loss.item() == pytest.approx(total / n, rel=1e-4)
    loss.backward()
    assert all(weight.grad is None for weight in teacher.parameters())
    assert any(bool(weight.grad.abs().sum() > 0) for weight in student.parameters())


def test_a_student_of_itself_has_nothing_to_learn(letters_model, data, tmp_path):
    teacher, _ = TransformersEngine(str(letters_model), dtype="float32").load()
    arguments = training_arguments(Training(max_steps=1, batch_size=3), tmp_path, evaluate=False)
    student = load_model(letters_model, "float32")
    tuner = SoftTuner(student, arguments, teacher=teacher, train_dataset=data, data_collator=Collator(0))
    batch = located(Collator(0)([data[0], data[1]]))
    tuner._global = {"n_tokens": batch["lengths"].sum()}
    student.train()
    assert tuner.compute_loss(student, batch).item() == pytest.approx(0, abs=1e-6)
