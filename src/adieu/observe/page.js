"use strict";
// The facts of the bar that is pointed at or has the focus; arrow keys, zoom and search. Without it, bars are links.
(() => {
  const chart = document.getElementById("chart"), plot = document.getElementById("plot"), facts = document.getElementById("facts");
  const lanes = [...chart.querySelectorAll(".lane")].map(lane => [...lane.querySelectorAll("a")]).filter(lane => lane.length);
  const names = [...document.querySelectorAll("thead th")].map(cell => cell.textContent);
  const all = lanes.flat();
  const place = new Map(lanes.flatMap((lane, row) => lane.map((bar, column) => [bar, [row, column]])));
  let shown = null;

  const rowOf = bar => bar.dataset.text === undefined ? document.getElementById(bar.hash.slice(1)) : null;

  function factsOf(bar) {
    const row = rowOf(bar);
    if (row) return [row.cells[0].textContent, names.slice(1).map((name, i) => [name, row.cells[i + 1].textContent])];
    const [title, ...lines] = bar.dataset.text.split("\n");
    return [title, lines.map(line => { const at = line.indexOf(": "); return at < 0 ? ["state", line] : [line.slice(0, at), line.slice(at + 2)]; })];
  }

  function show(bar) {
    if (bar === shown) return;
    if (shown) shown.classList.remove("shown");
    shown = bar;
    bar.classList.add("shown");
    const [title, pairs] = factsOf(bar), heading = document.createElement("p"), list = document.createElement("dl");
    heading.textContent = title;
    for (const [name, value] of pairs) {
      if (!value) continue;
      const pair = document.createElement("div"), term = document.createElement("dt"), text = document.createElement("dd");
      term.textContent = name; text.textContent = value;
      pair.append(term, text); list.append(pair);
    }
    facts.replaceChildren(heading, list);
    facts.hidden = false;
  }

  function hide() {
    facts.hidden = true;
    if (shown) shown.classList.remove("shown");
    shown = null;
  }

  // One bar is in the order of the Tab key; the arrow keys move between bars.
  function enter(bar) {
    for (const other of all) if (other.tabIndex === 0) other.tabIndex = -1;
    bar.tabIndex = 0;
  }
  for (const bar of all) bar.tabIndex = -1;
  if (all.length) all[0].tabIndex = 0;

  function next(bar, key) {
    const [row, column] = place.get(bar), lane = lanes[row];
    if (key === "ArrowRight") return lane[column + 1];
    if (key === "ArrowLeft") return lane[column - 1];
    if (key === "Home") return lane[0];
    if (key === "End") return lane[lane.length - 1];
    const other = lanes[row + (key === "ArrowDown" ? 1 : key === "ArrowUp" ? -1 : NaN)];
    if (!other) return undefined;
    const at = parseFloat(bar.style.left), far = to => Math.abs(parseFloat(to.style.left) - at);
    return other.reduce((best, to) => far(to) < far(best) ? to : best);
  }

  chart.addEventListener("keydown", event => {
    const bar = event.target.closest("a");
    if (!bar) return;
    if (event.key === "Escape") return hide();
    const to = next(bar, event.key);
    if (!to) return;
    event.preventDefault();
    enter(to);
    to.focus();
  });
  chart.addEventListener("focusin", event => { const bar = event.target.closest("a"); if (bar) { enter(bar); show(bar); } });
  chart.addEventListener("mouseover", event => { const bar = event.target.closest("a"); if (bar) show(bar); });
  document.addEventListener("keydown", event => { if (event.key === "Escape") hide(); });

  const fit = 1, most = 4096;
  let zoom = fit;
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => {
      const factor = Number(button.dataset.zoom), middle = (chart.scrollLeft + chart.clientWidth / 2) / plot.clientWidth;
      zoom = factor ? Math.min(Math.max(zoom * factor, fit), most) : fit;
      plot.style.setProperty("--zoom", zoom);
      chart.scrollLeft = middle * plot.clientWidth - chart.clientWidth / 2;
    });
  }

  const find = document.getElementById("find"), problems = document.getElementById("problems"), found = document.getElementById("found");
  function filter() {
    const word = find.value.trim().toLowerCase();
    let count = 0;
    for (const bar of all) {
      const row = rowOf(bar);
      const fits = (!word || (row ? row.textContent : bar.dataset.text).toLowerCase().includes(word)) && (!problems.checked || bar.classList.contains("bad"));
      bar.classList.toggle("dim", !fits);
      if (row) { row.hidden = !fits; count += fits; }
    }
    found.textContent = word || problems.checked ? `${count.toLocaleString("en")} found` : "";
  }
  find.addEventListener("input", filter);
  problems.addEventListener("change", filter);
  document.querySelector(".tools").hidden = false;
})();
