"use strict";
// All that a script does here: look again every few seconds, and put in place what has changed.
const told = document.getElementById("refresh"), button = document.createElement("button"), at = document.createElement("span");
let isPaused = false;
at.setAttribute("role", "status");
button.type = "button";
button.textContent = "Pause updates";
button.addEventListener("click", () => {
  isPaused = !isPaused;
  button.textContent = isPaused ? "Update again" : "Pause updates";
  if (!isPaused) look();
});
told.append(at, button);

// What finds an element again among those that take its place.
function wayTo(node) {
  if (node.matches("details[id] > summary")) return `#${CSS.escape(node.parentElement.id)} > summary`;
  return node.hasAttribute("href") ? `a[href="${CSS.escape(node.getAttribute("href"))}"]` : null;
}

async function look() {
  const main = document.querySelector("main");
  const isSelecting = !document.getSelection().isCollapsed;
  if (isPaused || document.hidden || isSelecting) return;
  try {
    const answer = await fetch(location.pathname, { cache: "no-store" });
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    for (const open of main.querySelectorAll("details[open][id]")) {
      const same = next.querySelector(`#${CSS.escape(open.id)}`);
      if (same) same.open = true;
    }
    at.textContent = "";
    if (next.innerHTML === main.innerHTML) return;
    const way = main.contains(document.activeElement) ? wayTo(document.activeElement) : null;
    main.replaceChildren(...next.childNodes);
    if (way) main.querySelector(way)?.focus({ preventScroll: true });
  } catch {
    at.textContent = "No answer: is treadle ui still running?";
  }
}
setInterval(look, 5000);
