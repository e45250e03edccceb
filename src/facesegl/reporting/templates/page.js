"use strict";
document.documentElement.classList.add("live");
const LAYERS = ["photo", "truth", "prediction", "errors"];

// A slider moves from layer to layer, each fading in over those below: photo, truth, prediction, errors.
function show(slider) {
  const at = Number(slider.value), figure = slider.closest("figure");
  figure.querySelectorAll(".stack img").forEach((image, layer) => {
    image.style.opacity = layer <= at ? 1 : 0;
    image.setAttribute("aria-hidden", String(layer !== at));
  });
  slider.setAttribute("aria-valuetext", LAYERS[at]);
  figure.querySelectorAll(".ticks span").forEach((tick, layer) => tick.classList.toggle("now", layer === at));
}
function move(slider, layer) {
  slider.value = layer;
  show(slider);
}
document.querySelectorAll(".slide input").forEach((slider) => {
  slider.addEventListener("input", () => show(slider));
  slider.closest("figure").querySelectorAll(".ticks span").forEach((tick, layer) => {
    tick.addEventListener("click", () => move(slider, layer));
  });
  show(slider);
});
document.querySelectorAll(".all button").forEach((button) => {
  button.addEventListener("click", () => {
    document.querySelectorAll(".slide input").forEach((slider) => move(slider, button.dataset.layer));
  });
});

// Numbers by size, then words alphabetically; empty cells come last in both directions.
function compare(one, other) {
  const numbers = [one, other].map(Number), words = numbers.map(Number.isNaN);
  if (words[0] !== words[1]) return words[0] ? 1 : -1;
  return words[0] ? one.localeCompare(other) : numbers[0] - numbers[1];
}
// A click on a column's header sorts by it; a second click reverses the order.
function sortBy(head) {
  const table = head.closest("table"), body = table.tBodies[0], column = head.cellIndex;
  const before = head.getAttribute("aria-sort"), first = head.dataset.first ?? "descending";
  const now = before === "ascending" ? "descending" : before === "descending" ? "ascending" : first;
  table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", now);
  const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const order = (one, other) => {
    if (one === "" || other === "") return (one === "") - (other === "");
    return now === "ascending" ? compare(one, other) : compare(other, one);
  };
  body.append(...[...body.rows].sort((one, other) => order(value(one), value(other))));
}
document.querySelectorAll("th button").forEach((button) => {
  button.addEventListener("click", () => sortBy(button.closest("th")));
});

document.querySelectorAll(".copy").forEach((button) => {
  button.addEventListener("click", async () => {
    const text = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text); // no clipboard: select the text, to be copied by hand
      button.textContent = "Selected";
    }
  });
});
