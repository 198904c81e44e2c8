"""The floor plan of the packages: its picture and its table in `docs/architecture.md`.

python scripts/draw_packages.py          # writes both
python scripts/draw_packages.py --list   # prints the imports between packages, with modules
"""

import argparse
import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from html import escape
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs" / "architecture.md"
PICTURE = REPOSITORY / "docs" / "packages.svg"
FLOORS: tuple[dict[str, str], ...] = (
    {"cli": "the command", "worker": "Celery: takes jobs"},
    {"web": "a page and an API"},
    {
        "footage": "training data, cut",
        "evaluation": "tables of measures",
        "checks": "would it work?",
        "dataset": "manifests to shards",
    },
    {
        "samples": "media to try with",
        "animation": "a job to its video",
        "jobs": "records, leases, queue",
    },
    {"persons": "bodies and their motion", "views": "objects from all sides"},
    {
        "media": "pictures, video, sound",
        "provenance": "marks, signatures",
        "weights": "library of models",
        "workspace": "an attempt's folder",
        "broker": "Redis",
    },
    {"files": "paths and URLs"},
    {"watch": "progress, cancelling", "settings": "of a process"},
    {"record": "what became of a job"},
    {"spec": "what a job is"},
    {"options": "what may be chosen"},
    {"formats": "kinds of output", "moving_faces": "which move, by what"},
    {
        "faces": "landmarks and motion",
        "values": "checked values",
        "sandbox": "confined children",
    },
    {"models": "detectors' networks"},
    {"gfla": "the networks", "errors": "codes and sentences"},
)
"""Packages and top modules from the roof to the ground; an import leads to a lower floor."""
WIDTH, ROW, BOX, TALL = 960, 92, 184, 46  # pixels: page, floor, and a box's width and height


def main() -> None:
    """Write the picture and the table, or print the imports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="print imports, with their modules")
    if parser.parse_args().list:
        for (one, other), names in sorted(package_imports().items()):
            print(f"{one} -> {other}: {', '.join(sorted(names))}")
        return
    PICTURE.write_text(picture(), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The page with the table as it is now."""
    text = PAGE.read_text(encoding="utf-8")
    block = re.compile(r"(<!-- table -->\n).*?(\n<!-- /table -->)", re.DOTALL)
    return block.sub(lambda found: found[1] + table() + found[2], text)


def modules() -> dict[str, Path]:
    """Every module by its dotted name."""
    tops = [REPOSITORY / name for name in ("animator", "gfla", "worker")]
    return {_dotted(path): path for top in tops for path in top.rglob("*.py")}


def module_imports() -> dict[str, set[str]]:
    """What each module imports of ours: also within functions and for types alone."""
    known = modules()
    found: dict[str, set[str]] = defaultdict(set)
    for name, path in known.items():
        for imported in _imported(ast.parse(path.read_text(encoding="utf-8"))):
            # `from package import module` names a module, `from module import name` a name in one.
            target = imported if imported in known else imported.rpartition(".")[0]
            if target in known and target != name:
                found[name].add(target)
    return found


def package_imports() -> dict[tuple[str, str], set[str]]:
    """The modules that import from one package into another, by the two."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, targets in module_imports().items():
        for target in targets:
            pair = room(name), room(target)
            if pair[0] != pair[1] and "" not in pair:
                found[pair].add(name)
    return found


def room(module: str) -> str:
    """The package of `animator` that a module is in, or its own name on the top level.

    `gfla` and `worker` are one room each; the public face, which names what is above it, is none.
    """
    top, *rest = module.split(".")
    if top != "animator":
        return top
    return rest[0] if rest and rest[0] != "__main__" else ""


def table() -> str:
    """Which packages each imports, from the roof down."""
    direct = _direct()
    rows = [
        f"| `{name}` | {', '.join(f'`{other}`' for other in sorted(direct[name])) or 'nothing'} |"
        for floor in FLOORS
        for name in floor
    ]
    return "\n".join(["| package | imports |", "|---|---|", *rows])


def picture() -> str:
    """The packages by floors, as SVG; an import that others imply is not drawn."""
    direct = _direct()
    reached: dict[str, set[str]] = defaultdict(set)
    for name in (name for floor in reversed(FLOORS) for name in floor):
        reached[name] = direct[name].union(*(reached[other] for other in direct[name]))
    # Where each box is: middle and top, in pixels.
    places = {
        name: (WIDTH * (column + 0.5) / len(floor), 20 + ROW * row)
        for row, floor in enumerate(FLOORS)
        for column, name in enumerate(floor)
    }
    lines, boxes = [], []
    for one in places:
        implied: set[str] = set().union(*(reached[other] for other in direct[one]))
        for other in sorted(direct[one] - implied):
            (x, y), (to_x, to_y) = places[one], places[other]
            bend = (to_y - y - TALL) / 2
            lines.append(
                f'<path d="M{x:.0f} {y + TALL} C{x:.0f} {y + TALL + bend:.0f} '
                f'{to_x:.0f} {to_y - bend:.0f} {to_x:.0f} {to_y}"/>'
            )
    for name, (x, y) in places.items():
        says = next(floor[name] for floor in FLOORS if name in floor)
        boxes.append(
            f'<rect x="{x - BOX / 2:.0f}" y="{y}" width="{BOX}" height="{TALL}" rx="6"/>'
            f'<text x="{x:.0f}" y="{y + 19}" font-weight="600">{name}</text>'
            f'<text x="{x:.0f}" y="{y + 36}" font-size="12" fill="#555">{escape(says)}</text>'
        )
    height = 20 + ROW * len(FLOORS) - (ROW - TALL) + 20
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            'font-family="sans-serif" font-size="14" text-anchor="middle">',
            f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
            '<g fill="none" stroke="#9ab" stroke-width="1.5">',
            *lines,
            '</g>\n<g fill="#222">',
            *(box.replace("<rect", '<rect fill="#eef3f8" stroke="#9ab"') for box in boxes),
            "</g>\n</svg>\n",
        ]
    )


def _direct() -> dict[str, set[str]]:
    """What each package imports."""
    direct: dict[str, set[str]] = defaultdict(set)
    for one, other in package_imports():
        direct[one].add(other)
    return direct


def _dotted(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


if __name__ == "__main__":
    main()
