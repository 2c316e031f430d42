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
