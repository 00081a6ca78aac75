// Tables are sorted by a column when its head is pressed; without scripts they stay as they are.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  if (body.rows.length < 3) continue;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "descending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "ascending" : "descending");
      const value = (row) => row.cells[column].dataset.order ?? row.cells[column].textContent;
      const numeric = head.classList.contains("number");
      const compare = (a, b) => (numeric ? Number(value(a)) - Number(value(b)) : value(a).localeCompare(value(b)));
      const absent = (row) => numeric && Number.isNaN(Number(value(row)));
      const rows = [...body.rows];
      const there = rows.filter((row) => !absent(row)).sort((a, b) => (down ? compare(a, b) : compare(b, a)));
      body.append(...there, ...rows.filter(absent));
    });
  });
}
