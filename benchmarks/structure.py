"""Sizes and shape of the package: lines, files, functions, annotations, private imports, import circles.

    python benchmarks/structure.py [ROOT]

Prints a table for the checkout at ROOT (by default this one), so that two versions can be compared.
"""

import argparse
import ast
from pathlib import Path

import grimp
import numpy as np


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def annotated(function):
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    needed = [each for each in named if each is not None and each.arg not in {"self", "cls"}]
    return function.returns is not None and all(each.annotation is not None for each in needed)


def private_imports(root, folders):
    """Imports of a private module or name from another package."""
    count = 0
    for file in (file for folder in folders for file in (root / folder).rglob("*.py")):
        here = ".".join(file.relative_to(root).with_suffix("").parts)
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("bftembed"):
                continue
            for alias in node.names:
                parts = f"{node.module}.{alias.name}".split(".")
                at = next((i for i, part in enumerate(parts) if part[0] == "_" and part[:2] != "__"), None)
                count += at is not None and not f"{here}.".startswith(".".join(parts[:at]) + ".")
    return count


def circles(root):
    """Groups of modules of the package that import each other in a circle, type-checking imports left out."""
    import sys

    import networkx as nx

    sys.path.insert(0, str(root))
    graph = grimp.build_graph("bftembed", exclude_type_checking_imports=True, cache_dir=None)
    edges = [(one, other) for one in graph.modules for other in graph.find_modules_directly_imported_by(one)]
    packages = {module for module in graph.modules if graph.find_children(module)}
    edges = [(one, other) for one, other in edges if not {one, other} & packages]  # a package re-exports its modules
    return sum(len(group) > 1 for group in nx.strongly_connected_components(nx.DiGraph(edges)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, nargs="?", default=Path(__file__).parents[1])
    root = parser.parse_args().root.resolve()
    files = sorted((root / "bftembed").rglob("*.py"))
    texts = [file.read_text() for file in files]
    lines = np.array([text.count("\n") for text in texts])
    found = [function for text in texts for function in functions(ast.parse(text))]
    lengths = np.array([function.end_lineno - function.lineno + 1 for function in found])
    largest = files[int(lines.argmax())].relative_to(root)
    print(f"files                          {len(files)}, {lines.sum():,} lines")
    print(f"lines of a file                median {np.median(lines):.0f}, 90 % {np.percentile(lines, 90):.0f}")
    print(f"largest file                   {lines.max()} ({largest})")
    print(f"lines of a function            median {np.median(lengths):.0f}, 90 % {np.percentile(lengths, 90):.0f}")
    print(f"longest function               {lengths.max()} ({found[int(lengths.argmax())].name})")
    print(f"annotated functions            {np.mean([annotated(each) for each in found]):.1%} of {len(found):,}")
    print(f"private imports across         {private_imports(root, ['bftembed', 'tasks', 'benchmarks'])}")
    print(f"circles of modules             {circles(root)}")
    for folder in ("tasks", "tests", "benchmarks"):
        count = sum(file.read_text().count("\n") for file in (root / folder).rglob("*.py"))
        print(f"lines of {folder:22}{count:,}")


if __name__ == "__main__":
    main()
