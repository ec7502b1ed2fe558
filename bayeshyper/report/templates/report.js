// The page is complete without this script. It adds three things: values beside what is pointed at,
// tables that sort, and models that can be hidden.
"use strict";

// ---- Values beside what is pointed at -------------------------------------------------------------

const NEAR = 28; // pixels from a mark within which it counts as pointed at

const tip = document.createElement("div");
tip.className = "tip";
tip.setAttribute("role", "status"); // a screen reader says what it comes to hold
tip.hidden = true;
document.body.append(tip);
let shown = null;

function show(mark) {
  if (mark === shown) return;
  hide();
  if (!mark) return;
  shown = mark;
  mark.classList.add("on");
  tip.textContent = mark.dataset.note;
  tip.hidden = false;
  place();
}

// Above the mark, or below it at the top of the window, and never beyond its sides.
function place() {
  if (!shown) return;
  const box = shown.getBoundingClientRect();
  const width = tip.offsetWidth;
  const left = box.left + box.width / 2 - width / 2;
  const above = box.top - tip.offsetHeight - 8;
  tip.style.left = `${Math.max(8, Math.min(left, document.documentElement.clientWidth - width - 8))}px`;
  tip.style.top = `${above < 8 ? box.bottom + 8 : above}px`;
}

function hide() {
  if (shown) shown.classList.remove("on");
  shown = null;
  tip.hidden = true;
}

// How far a point is from a mark's box, and from its middle where boxes overlap.
function distance(mark, x, y) {
  const box = mark.getBoundingClientRect();
  const outside = Math.hypot(
    Math.max(box.left - x, 0, x - box.right),
    Math.max(box.top - y, 0, y - box.bottom),
  );
  return outside + Math.hypot(x - (box.left + box.right) / 2, y - (box.top + box.bottom) / 2) / 1000;
}

function makeReadable(plot) {
  const all = [...plot.querySelectorAll("title")].map((title) => {
    const mark = title.parentNode;
    mark.dataset.note = title.textContent;
    title.remove(); // or the browser would show it as well
    return mark;
  });
  if (!all.length) return;
  const marks = () => all.filter((mark) => !mark.classList.contains("away"));

  function point(event) {
    let nearest = null;
    let least = NEAR;
    for (const mark of marks()) {
      const d = distance(mark, event.clientX, event.clientY);
      if (d < least) [nearest, least] = [mark, d];
    }
    show(nearest);
  }
  plot.addEventListener("pointermove", point);
  plot.addEventListener("pointerdown", point);
  plot.addEventListener("pointerleave", hide);

  plot.tabIndex = 0;
  plot.setAttribute("aria-roledescription", "plot, arrow keys read its values");
  plot.addEventListener("focus", () => plot.matches(":focus-visible") && show(marks()[0]));
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", (event) => {
    const left = marks();
    const at = left.indexOf(shown);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: left.length - 1 }[event.key];
    if (event.key === "Escape") hide();
    if (to === undefined || !left.length) return;
    event.preventDefault();
    show(left[Math.max(0, Math.min(to, left.length - 1))]);
  });
}

document.querySelectorAll("svg.plot").forEach(makeReadable);
addEventListener("scroll", place, { passive: true });
addEventListener("resize", place);

// ---- Tables that sort -----------------------------------------------------------------------------

// Numbers by size, words by alphabet, and what has no value last, whichever way it goes.
function compare(a, b, sign) {
  if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
  const numbers = a !== "" && b !== "" && !isNaN(a) && !isNaN(b);
  return sign * (numbers ? a - b : a.localeCompare(b, undefined, { numeric: true }));
}

function sort(heading) {
  const headings = [...heading.parentNode.children];
  const body = heading.closest("table").tBodies[0];
  const now = heading.getAttribute("aria-sort");
  const other = { ascending: "descending", descending: "ascending" };
  const direction = now ? other[now] : heading.dataset.first;
  const column = headings.indexOf(heading);
  const sign = direction === "ascending" ? 1 : -1;
  const order = (row) => row.cells[column].dataset.order;
  const rows = [...body.rows].sort((a, b) => compare(order(a), order(b), sign));
  body.append(...rows);
  headings.forEach((one) => one.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", direction);
}

document.querySelectorAll("th[data-first]").forEach((heading) => {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...heading.querySelector(".heading").childNodes);
  heading.querySelector(".heading").append(button);
  button.addEventListener("click", () => sort(heading));
});

// ---- Models that can be hidden --------------------------------------------------------------------

function toggle(model) {
  const buttons = document.querySelectorAll(`[data-model="${model}"] > button`);
  const away = buttons[0].getAttribute("aria-pressed") === "true";
  buttons.forEach((button) => button.setAttribute("aria-pressed", String(!away)));
  document
    .querySelectorAll(`.models svg.plot .s${model}, [data-row-of="${model}"]`)
    .forEach((part) => part.classList.toggle("away", away));
  hide();
}

document.querySelectorAll("[data-model]").forEach((entry) => {
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-pressed", "true");
  button.append(...entry.childNodes);
  entry.append(button);
  button.addEventListener("click", () => toggle(entry.dataset.model));
});
