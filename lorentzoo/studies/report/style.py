"""How does the report look, and how do its tables sort?"""

from typing import Final

__all__ = ["SCRIPT", "STYLE"]

STYLE: Final = """
:root { --ink: #1c2430; --soft: #5b6675; --line: #d9dee5; --tint: #f5f7fa; --accent: #1f5fa8; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: white; line-height: 1.5;
  font: 16px/1.5 "Source Sans 3", "Segoe UI", "Helvetica Neue", Arial, "Liberation Sans", sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 2.2rem 1.6rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .7rem; padding-bottom: .25rem; border-bottom: 2px solid var(--line); }
p.facts { color: var(--soft); margin: 0 0 .8rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; width: 100%; }
thead th { text-align: right; vertical-align: bottom; font-weight: 600; padding: .4rem .5rem; line-height: 1.25;
  border-bottom: 2px solid var(--ink); }
thead th:first-child, td:first-child { text-align: left; }
td { text-align: right; padding: .34rem .5rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
tbody tr:hover { background: var(--tint); }
td.name { white-space: normal; }
sub { font-size: .75em; line-height: 0; }
tr.message td.message { text-align: left; white-space: normal; color: #8a3b12; min-width: 22rem; }
table.sortable thead th { cursor: pointer; }
table.sortable thead th::after { content: "\\2195"; color: #b3bcc8; font-size: .8em; padding-left: .25em; }
table.sortable thead th.up::after { content: "\\2191"; color: var(--accent); }
table.sortable thead th.down::after { content: "\\2193"; color: var(--accent); }
ul.notes { margin: .6rem 0 0; padding-left: 1.1rem; color: var(--soft); font-size: .84rem; max-width: 68rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(34rem, 1fr)); gap: 1.6rem 1.8rem; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.6rem; margin: 0 0 1.1rem; font-size: .86rem; }
.legend span { display: inline-flex; align-items: center; gap: .5rem; }
figure { margin: 0; }
figure img { width: 100%; height: auto; display: block; }
figcaption { color: var(--soft); font-size: .84rem; margin-top: .3rem; }
table.facts th { text-align: left; vertical-align: top; font-weight: 600; white-space: nowrap;
  padding: .34rem 1.2rem .34rem 0; border-bottom: 1px solid var(--line); width: 12rem; }
table.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; padding-left: 0; }
pre { background: var(--tint); border: 1px solid var(--line); border-radius: 4px; padding: .8rem 1rem;
  overflow-x: auto; font-size: .82rem; line-height: 1.45; }
code { background: var(--tint); padding: .05rem .25rem; border-radius: 3px; font-size: .9em; }
@media (max-width: 640px) { .figures { grid-template-columns: 1fr; } }
@media print { main { max-width: none; } figure { break-inside: avoid; } }
"""

SCRIPT: Final = """
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = table.querySelectorAll("thead th"), body = table.tBodies[0];
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const down = !head.classList.contains("down") && (column > 0 || head.classList.contains("up"));
    heads.forEach(other => other.classList.remove("up", "down"));
    head.classList.add(down ? "down" : "up");
    const key = row => { const v = row.cells[column].dataset.value; return v === undefined ? null : v; };
    const rows = [...body.rows].filter(row => !row.classList.contains("message"));
    rows.sort((a, b) => {
      const x = key(a), y = key(b);
      if (x === null || y === null) return (x === null) - (y === null);
      const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
      return down ? -order : order;
    });
    const messages = [...body.rows].filter(row => row.classList.contains("message"));
    body.append(...rows, ...messages);
  }));
}
"""
