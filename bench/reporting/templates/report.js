"use strict";
(function () {
  const all = (query, root = document) => Array.from(root.querySelectorAll(query));
  const root = document.documentElement;

  // Sort a column: numbers by their value, what is empty last.
  const sort = (button) => {
    const head = button.closest("th");
    const body = head.closest("table").tBodies[0];
    const column = head.cellIndex;
    const up = head.getAttribute("aria-sort") === "descending" || (!head.hasAttribute("aria-sort") && head.dataset.first === "up");
    const value = (row) => row.cells[column].dataset.v ?? "";
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = head.dataset.kind === "text" ? (x < y ? -1 : x > y ? 1 : 0) : Number(x) - Number(y);
      return up ? order : -order;
    };
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    for (const mark of all("i", head.parentNode)) mark.textContent = "";
    button.querySelector("i").textContent = up ? " ↑" : " ↓";
    body.append(...Array.from(body.rows).sort(compare));
  };
  // No <button>: browsers leave those out where they repeat a table's head on the next printed page.
  for (const button of all("thead [role=button]")) {
    button.addEventListener("click", () => sort(button));
    button.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      sort(button);
    });
  }

  // Show and hide families. A second press on the only one left shows all again.
  const chips = all(".chip[data-family]");
  const filter = () => {
    const hidden = new Set(chips.filter((c) => c.getAttribute("aria-pressed") === "false").map((c) => c.dataset.family));
    for (const item of all("[data-f]")) item.classList.toggle("off", hidden.has(item.dataset.f));
  };
  for (const chip of chips)
    chip.addEventListener("click", () => {
      const shown = chips.filter((c) => c.getAttribute("aria-pressed") === "true");
      if (shown.length === chips.length) for (const c of chips) c.setAttribute("aria-pressed", String(c === chip));
      else if (shown.length === 1 && shown[0] === chip) for (const c of chips) c.setAttribute("aria-pressed", "true");
      else chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
      filter();
    });

  // Highlight a recipe everywhere: while the pointer is on it, or from a click to the next.
  let pinned = "";
  const pick = (key) => {
    root.classList.toggle("pick", key !== "");
    for (const item of all(".on")) item.classList.remove("on");
    if (key) for (const item of all(`[data-r="${CSS.escape(key)}"]`)) item.classList.add("on");
  };
  const keyOf = (event) => (event.target.closest ? event.target.closest("[data-r]")?.dataset.r ?? "" : "");
  document.addEventListener("pointerover", (event) => {
    if (!pinned && event.pointerType === "mouse" && !event.target.closest("tbody td")) pick(keyOf(event));
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("button, [role=button], a, summary")) return;
    const key = keyOf(event);
    if (!key && !pinned) return;
    pinned = key === pinned ? "" : key;
    pick(pinned);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") pick((pinned = ""));
    if (event.key === "Enter" && event.target.dataset?.r) pick((pinned = pinned === event.target.dataset.r ? "" : event.target.dataset.r));
  });

  // Light or dark, whatever the system says.
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  for (const item of all("[hidden]")) item.hidden = false;
})();
