"""Which model exports to which format? Writes the table of docs/export.md.

    python tests/exporting/export_table.py                          # all that is missing there, hours on two cores
    python tests/exporting/export_table.py --models "pelican*" --formats onnx

Every model, with the small backbone and the weights of the conformance kit, is exported in float32, for any number of
particles. Rows are written as they are found, so that a run can be stopped.
"""

from __future__ import annotations

import argparse
import fnmatch
import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch

import lorentzoo as lz
from lorentzoo.core.errors import LorentzooError
from lorentzoo.core.exportable import find_refusal, is_process_specific
from lorentzoo.core.model import Model
from lorentzoo.exporting.formats import FORMATS
from lorentzoo.exporting.source.export import SOURCE_ENDINGS
from lorentzoo.exporting.source.program import find_obstacle
from lorentzoo.registry.catalogue import catalogue
from lorentzoo.registry.composition import build
from lorentzoo.testing.compositions import SMALL, compose_around
from lorentzoo.testing.subject import ModelSubject

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
BEGIN, END = "<!-- table of exports -->", "<!-- end of the table -->"
SOURCE = ", ".join(SOURCE_ENDINGS)
"""Formats of source code, which take the same networks, as one column."""
COLUMNS = (*FORMATS, SOURCE)
UNKNOWN = "–"
"""Of a cell that was not tried yet."""

Table = dict[str, dict[str, str]]


def build_small(name: str) -> Model:
    """A model as the conformance kit has it, without weights of its own yet."""
    return build(compose_around(catalogue().find("model", name), {}, {}, SMALL))  # type: ignore[return-value]


def try_format(name: str, form: str) -> str:
    """``yes``, or the reason why not."""
    torch.manual_seed(0)
    model = build_small(name)
    reason = find_obstacle(model) if form == SOURCE else find_refusal(model)
    if reason is not None:
        return f"no: {reason.partition(';')[0] if form == SOURCE else reason}"
    if form == SOURCE:
        # For which particles is up to the events that it is written for; the tests of source code do that.
        return "yes"
    like = None
    if is_process_specific(model):
        like = lz.load_dataset("amplitudes", multiplicity=[1, 2], num_events=2000)
        model.fit_statistics([like.batch(slice(0, len(like)))])
    else:
        model = ModelSubject(model).model
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = Path(folder) / f"net{FORMATS[form].ending}"
            lz.export(model, path, form, dtype="float32", like=like)
        except LorentzooError as error:
            return f"no: {str(error).splitlines()[0].partition('. Its operators')[0]}"
    return "yes"


def list_networks() -> list[str]:
    """Names of models; sizes are exported as the network is whose sizes they are."""
    return [component.name for component in catalogue().components("model") if not component.size_of]


def read_table() -> Table:
    """The table of the page, by model and format."""
    text = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = [[cell.strip() for cell in line.strip("| \n").split(" | ")] for line in text.strip().splitlines()]
    names = rows[0][1:]
    return {row[0].strip("`"): dict(zip(names, row[1:], strict=True)) for row in rows[2:]}


def write_table(table: Table, formats: Iterable[str]) -> None:
    """Put a table onto the page."""
    formats = list(formats)
    lines = [f"| model | {' | '.join(formats)} |", "|---" * (len(formats) + 1) + "|"]
    for name in sorted(table):
        cells = " | ".join(table[name].get(form, UNKNOWN).replace("|", "/") for form in formats)
        lines.append(f"| `{name}` | {cells} |")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    body = "\n".join(lines)
    PAGE.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{rest.partition(END)[2]}")


def main() -> None:
    """Fill cells of the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default="*")
    parser.add_argument("--formats", nargs="*", default=list(COLUMNS))
    parser.add_argument("--again", action="store_true", help="also cells that are known")
    options = parser.parse_args()
    table = {name: read_table().get(name, {}) for name in list_networks()}
    for name, row in table.items():
        for form in options.formats:
            if fnmatch.fnmatch(name, options.models) and (options.again or row.get(form, UNKNOWN) == UNKNOWN):
                row[form] = try_format(name, form)
                print(f"{name} {form}: {row[form]}", flush=True)
                write_table(table, COLUMNS)
    write_table(table, COLUMNS)


if __name__ == "__main__":
    main()
