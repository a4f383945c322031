"""The HTML page around a picture, with zooming, panning, search and highlighted neighbours. It is self-contained."""

from __future__ import annotations

from html import escape

__all__ = ["page"]

_STYLE = """
html, body { margin: 0; height: 100%; overflow: hidden; font: 13px Helvetica, Arial, sans-serif; color: #222; }
#bar { position: fixed; top: 0; left: 0; right: 0; padding: 8px 12px; background: #ffffffe8; z-index: 1;
       border-bottom: 1px solid #ccc; }
#bar input { width: 240px; padding: 3px 6px; } #bar button { padding: 3px 10px; }
#count { color: #666; margin: 0 12px; }
#note { position: fixed; right: 12px; bottom: 12px; max-width: 46%; padding: 8px 12px; background: #fffffff0;
        border: 1px solid #bbb; border-radius: 6px; white-space: pre-wrap; font: 12px monospace; display: none; }
svg { width: 100%; height: 100%; cursor: grab; } .box { cursor: pointer; }
.faded { opacity: 0.15; } .found rect { stroke: #d40000; stroke-width: 3; }
path.lit { stroke: #d40000; stroke-width: 2; }
"""

_SCRIPT = """
const svg = document.querySelector("svg");
const boxes = [...document.querySelectorAll(".box")], arrows = [...document.querySelectorAll(".arrow")];
const [note, search, count] = ["note", "search", "count"].map(id => document.getElementById(id));
const whole = svg.getAttribute("viewBox").split(" ").map(Number);
let view = [...whole], matches = [], at = -1;
svg.removeAttribute("width"); svg.removeAttribute("height");
const show = () => svg.setAttribute("viewBox", view.join(" "));
const scale = () => Math.max(view[2] / svg.clientWidth, view[3] / svg.clientHeight);
const point = e => new DOMPoint(e.clientX, e.clientY).matrixTransform(svg.getScreenCTM().inverse());
svg.addEventListener("wheel", e => {
  e.preventDefault();
  const p = point(e), by = Math.exp(e.deltaY * 0.0015);
  view = [p.x - (p.x - view[0]) * by, p.y - (p.y - view[1]) * by, view[2] * by, view[3] * by];
  show();
}, { passive: false });
let drag = null;
svg.addEventListener("pointerdown", e => { drag = [e.clientX, e.clientY]; });
addEventListener("pointermove", e => {
  if (!drag) return;
  const s = scale();
  view[0] -= (e.clientX - drag[0]) * s; view[1] -= (e.clientY - drag[1]) * s;
  drag = [e.clientX, e.clientY];
  show();
});
addEventListener("pointerup", () => { drag = null; });
function clear() {
  for (const b of boxes) b.classList.remove("faded", "found");
  for (const a of arrows) a.classList.remove("faded", "lit");
  note.style.display = "none"; count.textContent = "";
}
function pick(box) {
  clear();
  const key = box.dataset.key, near = new Set([key]);
  for (const a of arrows) {
    const own = a.dataset.from === key || a.dataset.to === key;
    a.classList.add(own ? "lit" : "faded");
    if (own) { near.add(a.dataset.from); near.add(a.dataset.to); }
  }
  for (const b of boxes) if (!near.has(b.dataset.key)) b.classList.add("faded");
  note.textContent = box.querySelector("title").textContent; note.style.display = "block";
}
svg.addEventListener("click", e => { const box = e.target.closest(".box"); if (box) pick(box); else clear(); });
function find() {
  clear();
  const text = search.value.toLowerCase();
  matches = text ? boxes.filter(b => b.textContent.toLowerCase().includes(text)) : [];
  for (const b of matches) b.classList.add("found");
  count.textContent = text ? matches.length + " found" : "";
  at = -1;
}
function next() {
  if (!matches.length) return;
  at = (at + 1) % matches.length;
  const r = matches[at].getBBox(), m = svg.querySelector("g[transform]").transform.baseVal.consolidate().matrix;
  const w = Math.min(whole[2], 900), h = w * svg.clientHeight / svg.clientWidth;
  view = [r.x + m.e + r.width / 2 - w / 2, r.y + m.f + r.height / 2 - h / 2, w, h];
  show();
}
search.addEventListener("input", find);
search.addEventListener("keydown", e => { if (e.key === "Enter") next(); });
document.getElementById("all").addEventListener("click", () => { view = [...whole]; show(); clear(); });
"""


def page(title: str, svg: str) -> str:
    """Build an HTML page that shows ``svg``."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style></head>
<body>
<div id="bar"><input id="search" placeholder="search: op, name, type, file:line" autofocus>
<span id="count"></span><button id="all">whole picture</button>
wheel: zoom, drag: move, click: neighbours, Enter: next match</div>
<div id="note"></div>
{svg}<script>{_SCRIPT}</script>
</body>
</html>
"""
