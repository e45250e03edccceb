"use strict";
document.documentElement.classList.add("live");
const LAYERS = ["photo", "truth", "prediction", "errors"];

// A slider fades from layer to layer: 0 the photo, 1 its truth, 2 the prediction, 3 what is wrong.
function show(slider) {
  const at = Number(slider.value), figure = slider.closest("figure");
  figure.querySelectorAll(".stack img").forEach((image, layer) => {
    image.style.opacity = layer === 0 ? 1 : Math.max(0, Math.min(1, at - layer + 1));
  });
  const nearest = Math.round(at);
  slider.setAttribute("aria-valuetext", LAYERS[nearest]);
  figure.querySelectorAll(".ticks span").forEach((tick, layer) => {
    tick.innerHTML = layer === nearest ? `<b>${LAYERS[layer]}</b>` : LAYERS[layer];
  });
}
document.querySelectorAll(".slide input").forEach((slider) => {
  slider.addEventListener("input", () => show(slider));
  show(slider);
});
document.querySelectorAll(".all button").forEach((button) => {
  button.addEventListener("click", () => {
    document.querySelectorAll(".slide input").forEach((slider) => {
      slider.value = button.dataset.layer;
      show(slider);
    });
  });
});

// A click on a column's head sorts by it; a second click turns the order round. Cells without a number come last.
function sortBy(head) {
  const table = head.closest("table"), body = table.tBodies[0], column = head.cellIndex;
  const descending = head.getAttribute("aria-sort") === "descending" || (!head.hasAttribute("aria-sort") && head.dataset.first === "ascending");
  table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", descending ? "ascending" : "descending");
  const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const order = (one, other) => {
    if ((one === "") !== (other === "")) return one === "" ? 1 : -1;
    const [a, b] = [Number(one), Number(other)];
    const way = Number.isNaN(a) || Number.isNaN(b) ? one.localeCompare(other) : a - b;
    return descending ? way : -way;
  };
  [...body.rows].sort((one, other) => order(value(one), value(other))).forEach((row) => body.append(row));
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
      getSelection().selectAllChildren(text); // no clipboard here: it is marked, to be copied by hand
    }
  });
});
