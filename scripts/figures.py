"""Figures of a checkout: sizes, names, what a reader misses, and times of quick commands."""

import argparse
import ast
import io
import re
import subprocess
import sys
import time
import tokenize
from collections import Counter
from pathlib import Path
from statistics import median

PACKAGES = ("animator", "gfla", "worker")
LONG = 30  # lines: a function of more should have its paragraphs titled


def main() -> None:
    """Print the figures of one checkout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", nargs="?", type=Path, default=Path(__file__).parents[1])
    parser.add_argument(
        "--python", default=sys.executable, help="with this interpreter, for the times of commands"
    )
    parser.add_argument("--names", action="store_true", help="list what is counted")
    arguments = parser.parse_args()
    root = arguments.checkout.resolve()
    modules = {
        path.relative_to(root): path.read_text()
        for name in PACKAGES
        for path in (root / name).rglob("*.py")
    }
    modules = {path: text for path, text in sorted(modules.items()) if text.strip()}
    trees = {path: ast.parse(text) for path, text in modules.items()}
    lines = Counter(path.parts[0] for path, text in modules.items() for _ in text.splitlines())
    comments = sum(_comments(text) for text in modules.values())

    print(f"modules that are not empty: {len(modules)}")
    shares = ", ".join(f"{name} {count:,}" for name, count in lines.items())
    print(f"lines: {sum(lines.values()):,} ({shares})")
    tests = [path.read_text().splitlines() for path in (root / "tests").rglob("*.py")]
    print(f"lines of tests: {sum(map(len, tests)):,}")
    print(f"lines with a comment: {comments / sum(lines.values()):.1%}")
    listed = {
        "modules without a test of their name or their package's": _untested(root, modules),
        f"functions over {LONG} lines without a comment": _silent(modules, trees),
        "class names that mean several things": _repeated_classes(trees),
        "places that read the environment": _environment(modules),
        "modules whose first sentence begins with a question word": [
            str(path)
            for path, tree in trees.items()
            if re.match(r"(What|How|Who|Where|When|Whether)\b", ast.get_docstring(tree) or "")
        ],
    }
    for title, names in listed.items():
        print(f"{title}: {len(names)}")
        if arguments.names:
            print("".join(f"    {name}\n" for name in names), end="")
    for command in (["--help"], ["list", "--help"], ["submit", "--help"]):
        print(f"animator {' '.join(command)}: {_time_of(root, arguments.python, command):.2f} s")


def _comments(text: str) -> int:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return len({token.start[0] for token in tokens if token.type == tokenize.COMMENT})


def _untested(root: Path, modules: dict[Path, str]) -> list[str]:
    """Modules covered by no `test_NAME.py` or `test_NAME_*.py` of theirs or of their package."""
    tests = {path.stem.removeprefix("test_") for path in (root / "tests").rglob("test_*.py")}

    def covered(path: Path) -> bool:
        names = (path.stem, path.parent.name) if len(path.parts) > 2 else (path.stem,)
        return any(test == name or test.startswith(f"{name}_") for test in tests for name in names)

    return [
        str(path)
        for path in modules
        if path.name not in ("__init__.py", "__main__.py") and not covered(path)
    ]


def _silent(modules: dict[Path, str], trees: dict[Path, ast.Module]) -> list[str]:
    found = []
    for path, tree in trees.items():
        lines = modules[path].splitlines()
        for node in ast.walk(tree):
            if (
                isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
                and node.end_lineno is not None
            ):
                first = (
                    node.body[1].lineno
                    if len(node.body) > 1 and ast.get_docstring(node)
                    else node.body[0].lineno
                )
                if node.end_lineno - node.lineno >= LONG and not any(
                    re.search(r"(^|\s)# ", line) for line in lines[first - 2 : node.end_lineno]
                ):
                    found.append(f"{path}:{node.lineno} {node.name}")
    return found


def _repeated_classes(trees: dict[Path, ast.Module]) -> list[str]:
    names = Counter(
        node.name for tree in trees.values() for node in tree.body if isinstance(node, ast.ClassDef)
    )
    return [f"{name} {count} times" for name, count in names.most_common() if count > 1]


def _environment(modules: dict[Path, str]) -> list[str]:
    pattern = re.compile(r"os\.environ|os\.getenv|from_environment\(\)")
    return [
        f"{path}:{number}"
        for path, text in modules.items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def _time_of(root: Path, python: str, command: list[str], runs: int = 5) -> float:
    """Median seconds of a command that needs no queue."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run(
            [python, "-m", "animator", *command], cwd=root, capture_output=True, check=True
        )
        times.append(time.perf_counter() - started)
    return median(times)


if __name__ == "__main__":
    main()
