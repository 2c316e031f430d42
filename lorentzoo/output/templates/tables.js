// Tables that are sorted, filtered and opened; everything is in the page, nothing is fetched.
const rowsOf = body => [...body.rows].filter(row => !row.matches(".message, .detail"));
const detailOf = row => row.nextElementSibling?.matches(".detail") ? row.nextElementSibling : null;

function sortBy(table, head, column) {
  const heads = table.tHead.querySelectorAll("th"), body = table.tBodies[0];
  const now = head.getAttribute("aria-sort"), first = column > 0 && !head.hasAttribute("data-text");
  const down = now === "none" || !now ? first : now === "ascending";
  heads.forEach(other => other.setAttribute("aria-sort", "none"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = row => row.cells[column]?.dataset.value ?? null;
  const numbers = rowsOf(body).every(row => key(row) === null || !isNaN(key(row)));
  const groups = rowsOf(body).map(row => [row, detailOf(row)]);
  groups.sort(([a], [b]) => {
    const x = key(a), y = key(b);
    // What has no value stands last, whichever way.
    if (x === null || y === null) return (x === null) - (y === null);
    const order = numbers ? x - y : x.localeCompare(y);
    return down ? -order : order;
  });
  const messages = [...body.rows].filter(row => row.matches(".message"));
  body.append(...groups.flat().filter(Boolean), ...messages);
}

for (const table of document.querySelectorAll("table.sortable")) {
  table.tHead.querySelectorAll("th").forEach((head, column) => {
    head.setAttribute("aria-sort", "none");
    head.querySelector("button").addEventListener("click", () => sortBy(table, head, column));
  });
}

function openRow(row, open) {
  const detail = detailOf(row), button = row.querySelector("button.opens");
  if (!detail || !button) return;
  detail.hidden = !open;
  button.setAttribute("aria-expanded", open);
}

for (const button of document.querySelectorAll("button.opens")) {
  const row = button.closest("tr");
  button.addEventListener("click", () => {
    const open = detailOf(row).hidden;
    openRow(row, open);
    history.replaceState(null, "", open ? `#${row.id}` : location.pathname + location.search);
  });
}

function followLink() {
  const row = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!row?.matches("tr")) return;
  row.hidden = false;
  openRow(row, true);
  row.scrollIntoView({ block: "start" });
}

for (const form of document.querySelectorAll("form.filters")) {
  const table = document.getElementById(form.dataset.table), body = table.tBodies[0];
  const fields = [...form.elements].filter(field => field.name), count = form.querySelector("output");
  const apply = () => {
    const hidden = new Set();
    let shown = 0;
    for (const row of rowsOf(body)) {
      const fits = fields.every(field => {
        const wanted = field.value.trim().toLowerCase();
        if (!wanted) return true;
        if (field.name === "search") {
          const text = `${row.textContent} ${detailOf(row)?.textContent ?? ""}`.toLowerCase();
          return wanted.split(/\s+/).every(word => text.includes(word));
        }
        return (row.getAttribute(`data-${field.name}`) ?? "").toLowerCase() === wanted;
      });
      row.hidden = !fits;
      if (!fits) { openRow(row, false); hidden.add(row.dataset.row); }
      shown += fits;
    }
    // Other tables of the page name the same rows.
    for (const row of document.querySelectorAll("tr[data-row]"))
      if (!body.contains(row)) row.hidden = hidden.has(row.dataset.row);
    count.textContent = `${shown} of ${rowsOf(body).length}`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  apply();
}
addEventListener("hashchange", followLink);
followLink();

for (const button of document.querySelectorAll("button.copies")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "copied";
  });
}
