"""Benchmarks: what a task is, embeddings as inputs, runner, statistics, results and report.

All that a task needs (`tasks/<family>/task.py`) is imported from here, on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed._lazy import attach

if TYPE_CHECKING:
    from bftembed.bench.asking.asker import Asker
    from bftembed.bench.asking.questions import Answer, Item, Question
    from bftembed.bench.base import Evaluation, LanguageProblem, Problem, Published, Task, TaskInfo, task
    from bftembed.bench.corpus_overlap import Overlap, overlap
    from bftembed.bench.language.choices.data import few_questions
    from bftembed.bench.language.choices.problem import ClosedQuestions
    from bftembed.bench.language.choices.prompts import ClosedQuestion, content_id
    from bftembed.bench.language.gene_set_names.checked import CheckedSetNames
    from bftembed.bench.language.gene_set_names.contaminated import ContaminatedSets
    from bftembed.bench.language.gene_set_names.problem import SetNames
    from bftembed.bench.language.gene_set_names.sets import GeneSet, few_sets, gene_set
    from bftembed.bench.language.health.problem import HealthBench
    from bftembed.bench.language.perturbations.gene_texts import gene_documents, gene_summaries
    from bftembed.bench.language.perturbations.problem import PerturbationReasoning
    from bftembed.bench.language.profile_quality import ProfileQuality
    from bftembed.bench.problems.cell_data import CELL_DATA_INFO, CellData, load_cells, small_part
    from bftembed.bench.problems.cells import CellLabels
    from bftembed.bench.problems.cells_by_text import CellsByText, TypeText
    from bftembed.bench.problems.drugs import DrugDistances, DrugLabels, drug_labels
    from bftembed.bench.problems.effects import PerturbationEffects, clean_effects
    from bftembed.bench.problems.expression import ExpressionResponse
    from bftembed.bench.problems.genes import GeneLabels
    from bftembed.bench.problems.integration import BatchIntegration
    from bftembed.bench.problems.labels import canonical, few_genes, few_names, gene_labels
    from bftembed.bench.problems.modalities import JointModalities, ModalityMatching
    from bftembed.bench.problems.pairs import PairLabels, clean_pairs, degree_matched, without_leaks
    from bftembed.bench.problems.perturbqa import PERTURBQA_INFO, perturbqa_published
    from bftembed.bench.problems.terms import GeneTerms
    from bftembed.bench.registry import find_tasks
    from bftembed.bench.report import write_report
    from bftembed.bench.results import Result, Results, read_results
    from bftembed.bench.runner import pending, run
    from bftembed.bench.scoring.probes import CONSTANT, FOREST, LINEAR, Probe
    from bftembed.bench.scoring.scores import Score
    from bftembed.bench.sources.base import CellVectors, NotApplicableError, Source
    from bftembed.bench.sources.grammar import get_source
    from bftembed.bench.sources.model import Model
    from bftembed.bench.stored_answers import read_answers

__all__ = [
    "CELL_DATA_INFO",
    "CONSTANT",
    "FOREST",
    "LINEAR",
    "PERTURBQA_INFO",
    "Answer",
    "Asker",
    "BatchIntegration",
    "CellData",
    "CellLabels",
    "CellVectors",
    "CellsByText",
    "CheckedSetNames",
    "ClosedQuestion",
    "ClosedQuestions",
    "ContaminatedSets",
    "DrugDistances",
    "DrugLabels",
    "Evaluation",
    "ExpressionResponse",
    "GeneLabels",
    "GeneSet",
    "GeneTerms",
    "HealthBench",
    "Item",
    "JointModalities",
    "LanguageProblem",
    "ModalityMatching",
    "Model",
    "NotApplicableError",
    "Overlap",
    "PairLabels",
    "PerturbationEffects",
    "PerturbationReasoning",
    "Probe",
    "Problem",
    "ProfileQuality",
    "Published",
    "Question",
    "Result",
    "Results",
    "Score",
    "SetNames",
    "Source",
    "Task",
    "TaskInfo",
    "TypeText",
    "canonical",
    "clean_effects",
    "clean_pairs",
    "content_id",
    "degree_matched",
    "drug_labels",
    "few_genes",
    "few_names",
    "few_questions",
    "few_sets",
    "find_tasks",
    "gene_documents",
    "gene_labels",
    "gene_set",
    "gene_summaries",
    "get_source",
    "load_cells",
    "overlap",
    "pending",
    "perturbqa_published",
    "read_answers",
    "read_results",
    "run",
    "small_part",
    "task",
    "without_leaks",
    "write_report",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Answer": "asking.questions",
        "Asker": "asking.asker",
        "BatchIntegration": "problems.integration",
        "CONSTANT": "scoring.probes",
        "CELL_DATA_INFO": "problems.cell_data",
        "CellData": "problems.cell_data",
        "CellLabels": "problems.cells",
        "CellVectors": "sources.base",
        "CellsByText": "problems.cells_by_text",
        "ClosedQuestion": "language.choices.prompts",
        "ClosedQuestions": "language.choices.problem",
        "CheckedSetNames": "language.gene_set_names.checked",
        "ContaminatedSets": "language.gene_set_names.contaminated",
        "DrugDistances": "problems.drugs",
        "DrugLabels": "problems.drugs",
        "Evaluation": "base",
        "ExpressionResponse": "problems.expression",
        "FOREST": "scoring.probes",
        "GeneLabels": "problems.genes",
        "GeneSet": "language.gene_set_names.sets",
        "GeneTerms": "problems.terms",
        "HealthBench": "language.health.problem",
        "Probe": "scoring.probes",
        "ProfileQuality": "language.profile_quality",
        "Item": "asking.questions",
        "JointModalities": "problems.modalities",
        "LINEAR": "scoring.probes",
        "LanguageProblem": "base",
        "ModalityMatching": "problems.modalities",
        "Model": "sources.model",
        "NotApplicableError": "sources.base",
        "Overlap": "corpus_overlap",
        "PERTURBQA_INFO": "problems.perturbqa",
        "perturbqa_published": "problems.perturbqa",
        "PairLabels": "problems.pairs",
        "PerturbationEffects": "problems.effects",
        "PerturbationReasoning": "language.perturbations.problem",
        "Problem": "base",
        "Published": "base",
        "Question": "asking.questions",
        "Result": "results",
        "Results": "results",
        "Score": "scoring.scores",
        "SetNames": "language.gene_set_names.problem",
        "Source": "sources.base",
        "Task": "base",
        "TaskInfo": "base",
        "TypeText": "problems.cells_by_text",
        "canonical": "problems.labels",
        "clean_effects": "problems.effects",
        "clean_pairs": "problems.pairs",
        "content_id": "language.choices.prompts",
        "degree_matched": "problems.pairs",
        "drug_labels": "problems.drugs",
        "few_genes": "problems.labels",
        "few_names": "problems.labels",
        "gene_documents": "language.perturbations.gene_texts",
        "gene_summaries": "language.perturbations.gene_texts",
        "few_questions": "language.choices.data",
        "few_sets": "language.gene_set_names.sets",
        "find_tasks": "registry",
        "gene_labels": "problems.labels",
        "gene_set": "language.gene_set_names.sets",
        "get_source": "sources.grammar",
        "load_cells": "problems.cell_data",
        "overlap": "corpus_overlap",
        "pending": "runner",
        "read_answers": "stored_answers",
        "read_results": "results",
        "run": "runner",
        "small_part": "problems.cell_data",
        "task": "base",
        "without_leaks": "problems.pairs",
        "write_report": "report",
    },
    packages=("scanpy", "statsmodels"),
    extra="bench",
)
