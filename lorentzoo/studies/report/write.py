"""Which files does a study's directory keep of its results?"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lorentzoo.output.files import write_text
from lorentzoo.studies.report.numbers import study_csv
from lorentzoo.studies.report.page import report_html
from lorentzoo.studies.report.tables import study_tables
from lorentzoo.studies.results import StudyResult

__all__ = ["REPORT", "study_text", "write_report"]

REPORT: Final = "report.html"


def study_text(result: StudyResult, width: int = 160) -> str:
    """All tables for a terminal, and where the report is."""
    report = result.directory / REPORT
    tables = "\n".join(table.to_text(width) for table in study_tables(result).values())
    return tables + (f"report: {report}\n" if report.is_file() else "")


def write_report(result: StudyResult) -> Path:
    """Write tables (text, Markdown, LaTeX, CSV) and ``report.html`` into the study's directory; returns the report."""
    directory = result.directory
    tables = study_tables(result)
    study = result.study.name
    write_text(directory / "tables.txt", "\n".join(table.to_text() for table in tables.values()))
    write_text(directory / "tables.md", "\n".join(table.to_markdown() for table in tables.values()))
    latex = (table.to_latex(f"{study}-{name}") for name, table in tables.items())
    write_text(directory / "tables.tex", "% needs booktabs and graphicx\n" + "\n".join(latex))
    write_text(directory / "results.csv", study_csv(result))
    write_text(directory / REPORT, report_html(result))
    return directory / REPORT
