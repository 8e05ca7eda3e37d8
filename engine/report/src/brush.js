/* Parallel coordinates: drag along an axis to keep the lines that pass there, click it to let
   go. The page is complete without this script. */
"use strict";
for (const svg of document.querySelectorAll("svg.brushed")) {
  const traces = [...svg.querySelectorAll(".traces path")];
  const places = traces.map((trace) =>
    trace.getAttribute("d").slice(1).split("L").map((point) => Number(point.split(" ")[1])));
  const chosen = new Map();
  const show = () => traces.forEach((trace, at) => {
    const kept = [...chosen].every(([axis, [top, bottom]]) =>
      places[at][axis] >= top && places[at][axis] <= bottom);
    trace.classList.toggle("away", !kept);
  });
  const place = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY);
    return point.matrixTransform(svg.getScreenCTM().inverse()).y;
  };
  svg.querySelectorAll(".upright").forEach((axis, at) => {
    const handle = axis.querySelector(".handle");
    const top = Number(handle.getAttribute("y"));
    const bottom = top + Number(handle.getAttribute("height"));
    const brush = document.createElementNS(svg.namespaceURI, "rect");
    brush.setAttribute("class", "brush");
    brush.setAttribute("x", Number(axis.dataset.x) - 6);
    brush.setAttribute("width", 12);
    let from = null;
    handle.addEventListener("pointerdown", (event) => {
      from = place(event);
      handle.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    handle.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const to = place(event);
      const range = [Math.max(top, Math.min(from, to)), Math.min(bottom, Math.max(from, to))];
      if (range[1] - range[0] < 3) return;
      chosen.set(at, range);
      brush.setAttribute("y", range[0]);
      brush.setAttribute("height", range[1] - range[0]);
      handle.before(brush);
      show();
    });
    handle.addEventListener("pointerup", (event) => {
      if (from !== null && Math.abs(place(event) - from) < 3) {
        chosen.delete(at);
        brush.remove();
        show();
      }
      from = null;
    });
    handle.addEventListener("pointercancel", () => { from = null; });
  });
}
