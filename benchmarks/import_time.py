"""How long `import bftembed` takes, and whether torch comes with it: median of ten fresh processes.

python benchmarks/import_time.py
"""

import statistics
import subprocess
import sys

CODE = (
    "import time, sys; t = time.perf_counter(); import bftembed; print(time.perf_counter() - t, 'torch' in sys.modules)"
)


def main() -> None:
    """Measure and print."""
    runs = [
        subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True).stdout.split() for _ in range(10)
    ]
    seconds = [float(run[0]) for run in runs]
    print(f"import bftembed: median {statistics.median(seconds):.3f} s, worst {max(seconds):.3f} s")
    print(f"torch in sys.modules: {any(run[1] == 'True' for run in runs)}")


if __name__ == "__main__":
    main()
