"use strict";

const colours = Object.fromEntries(
  Object.entries(JSON.parse(document.getElementById("colours").textContent)).map(([name, text]) => [
    name,
    Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)),
  ]),
);
const SHADES = 512, ZERO = 127, NOTHING = 255;

/* Tabs, as the ARIA pattern has them: arrows move, and what is chosen is shown. */
function tabs(list, shown) {
  const buttons = [...list.querySelectorAll('[role="tab"]')];
  const choose = (number) => {
    buttons.forEach((button, i) => {
      button.setAttribute("aria-selected", String(i === number));
      button.tabIndex = i === number ? 0 : -1;
    });
    shown(number, buttons[number]);
  };
  buttons.forEach((button, i) => {
    button.addEventListener("click", () => choose(i));
    button.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: buttons.length - 1 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      const next = (steps[event.key] + buttons.length) % buttons.length;
      buttons[next].focus();
      choose(next);
    });
  });
}

/* A map's shades, decoded once: {width, height, values}. */
const decoded = new Map();
function decode(map) {
  if (!decoded.has(map)) {
    decoded.set(map, (async () => {
      const image = new Image();
      image.src = map.png;
      await image.decode();
      const { width, height } = image;
      const canvas = Object.assign(document.createElement("canvas"), { width, height });
      const pen = canvas.getContext("2d", { willReadFrequently: true });
      pen.drawImage(image, 0, 0);
      const pixels = pen.getImageData(0, 0, width, height).data;
      const values = new Float32Array(width * height);
      for (let i = 0; i < values.length; i++) {
        const shade = pixels[4 * i], from = (shade - ZERO) / ZERO;
        values[i] = shade === NOTHING ? NaN : Math.sign(from) * from * from * map.most;
      }
      return { width, height, values };
    })());
  }
  return decoded.get(map);
}

async function paint(canvas, map) {
  canvas.map = map;
  if (!map) { canvas.hidden = true; return; }
  const { width, height, values } = await decode(map);
  if (canvas.map !== map) return; // another one was chosen meanwhile
  canvas.hidden = false;
  Object.assign(canvas, { width, height });
  canvas.classList.toggle("smooth", width > 64);
  const pen = canvas.getContext("2d"), picture = pen.createImageData(width, height);
  const table = map.signed ? colours.signed : colours.heat, scale = map.scale || 1;
  values.forEach((value, i) => {
    const share = map.signed ? (value / scale + 1) / 2 : value / scale;
    const shade = Math.round(Math.min(Math.max(share, 0), 1) * (SHADES - 1));
    if (!Number.isNaN(value)) picture.data.set(table.subarray(4 * shade, 4 * shade + 4), 4 * i);
  });
  pen.putImageData(picture, 0, 0);
}

const tiny = (value) => value !== 0 && Math.abs(value) < 0.001;
const short = (value) => (tiny(value) ? value.toExponential(1) : Number(value.toPrecision(2)).toString()).replaceAll("-", "\u2212");

function maps(block) {
  const examples = JSON.parse(block.querySelector(".data").textContent);
  const figures = [...block.querySelectorAll(".example")], abouts = [...block.querySelectorAll(".about")];
  const blend = block.querySelector(".blend"), other = block.querySelector(".other");
  const edge = block.querySelector(".edge"), wipe = block.querySelector(".wipe"), key = block.querySelector(".key");
  const names = [...block.querySelectorAll('[role="tab"]')].map((tab) => tab.textContent.trim());
  let chosen = 0;

  const second = () => (other && other.value !== "" ? Number(other.value) : null);

  function mix() {
    const share = blend.value / 100, two = second() !== null, at = two ? edge.value : 100;
    figures.forEach((figure, i) => {
      const signed = [chosen, two ? second() : chosen].map((which) => Boolean(examples[i].maps[which]?.signed));
      figure.querySelector("img").style.filter = `grayscale(${share})`;
      const veil = figure.querySelector(".veil"); // red and blue need a pale ground
      veil.style.opacity = signed.some(Boolean) ? 0.75 * share : 0;
      veil.style.clipPath = `inset(0 ${signed[1] ? 0 : 100 - at}% 0 ${signed[0] ? 0 : at}%)`;
      const [one, over, line] = [".one", ".two", ".line"].map((name) => figure.querySelector(name));
      one.style.opacity = over.style.opacity = share;
      one.style.clipPath = two ? `inset(0 ${100 - at}% 0 0)` : "";
      over.style.clipPath = `inset(0 0 0 ${at}%)`;
      line.hidden = !two;
      line.style.left = `${at}%`;
    });
  }

  function show() {
    abouts.forEach((about, i) => { about.hidden = i !== chosen; });
    const two = second();
    if (wipe) wipe.hidden = two === null;
    figures.forEach((figure, i) => {
      paint(figure.querySelector(".one"), examples[i].maps[chosen]);
      paint(figure.querySelector(".two"), two === null ? null : examples[i].maps[two]);
      const map = examples[i].maps[chosen];
      figure.querySelector(".where").textContent = map ? `${names[chosen]}: ${map.words}` : `${names[chosen]} has no map of this.`;
      if (map) strongest(figure, i, map);
    });
    const shown = [chosen, two ?? chosen].map((which) => Boolean(examples[0]?.maps[which]?.signed));
    key.replaceChildren(...[...new Set(shown)].flatMap(legend));
    mix();
  }

  async function strongest(figure, number, map) {
    const { width, values } = await decode(map);
    let most = 0;
    values.forEach((value, i) => { if (Math.abs(value) > Math.abs(values[most]) || Number.isNaN(values[most])) most = i; });
    if (examples[number].maps[chosen] !== map) return;
    if (values[most]) say(figure, number, map, most % width, Math.floor(most / width), "strongest: ");
    else figure.querySelector(".value").textContent = Number.isNaN(values[most]) ? "no values" : "zero everywhere";
  }

  async function say(figure, number, map, column, row, before = "", after = "") {
    const { width, height, values } = await decode(map);
    const value = values[row * width + column], [tall, wide] = examples[number].shape;
    const side = !map.signed ? "" : value > 0 ? " for" : value < 0 ? " against" : "";
    const said = Number.isNaN(value) ? "no value" : `${short(value)}${side}`;
    const block = [Math.ceil(tall / height), Math.ceil(wide / width)];
    if (block.some((side) => side > 1)) after += `, mean of ${block.join(" \u00d7 ")}`;
    figure.querySelector(".value").textContent =
      `${before}${said} at row ${Math.floor(((row + 0.5) / height) * tall)}, column ${Math.floor(((column + 0.5) / width) * wide)}${after}`;
  }

  function legend(signed) {
    const table = signed ? colours.signed : colours.heat;
    const stops = Array.from({ length: 17 }, (_, i) => {
      const at = 4 * Math.round((i / 16) * (SHADES - 1));
      return `rgba(${table[at]}, ${table[at + 1]}, ${table[at + 2]}, ${(table[at + 3] / 255).toFixed(3)})`;
    });
    const bar = document.createElement("i");
    bar.style.backgroundImage = `linear-gradient(90deg, ${stops.join(", ")})`;
    return [signed ? "against" : "little", bar, signed ? "for" : "much"];
  }

  async function read(figure, number, x, y) {
    const two = second(), right = two !== null && x * 100 > edge.value;
    const which = right ? two : chosen, map = examples[number].maps[which];
    if (!map) return;
    const { width, height } = await decode(map);
    say(figure, number, map, Math.floor(x * width), Math.floor(y * height), "", two === null ? "" : ` (${names[which]})`);
    Object.assign(figure.querySelector(".cross").style, { left: `${100 * x}%`, top: `${100 * y}%` });
  }

  figures.forEach((figure, number) => {
    const stage = figure.querySelector(".stage"), cross = figure.querySelector(".cross");
    let at = [0.5, 0.5];
    const place = (event) => {
      const box = stage.getBoundingClientRect();
      at = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((part) => Math.min(Math.max(part, 0), 0.9999));
      return at;
    };
    stage.addEventListener("pointermove", (event) => {
      const [x, y] = place(event);
      if (event.buttons && second() !== null) { edge.value = 100 * x; mix(); }
      read(figure, number, x, y);
    });
    stage.addEventListener("pointerdown", (event) => {
      const [x, y] = place(event);
      if (second() !== null) { edge.value = 100 * x; mix(); }
      read(figure, number, x, y);
    });
    const value = figure.querySelector(".value"); // read aloud while its map is in hand, not whenever a method is chosen
    stage.addEventListener("focus", () => { value.setAttribute("aria-live", "polite"); if (stage.matches(":focus-visible")) { cross.hidden = false; read(figure, number, ...at); } });
    stage.addEventListener("blur", () => { cross.hidden = true; value.removeAttribute("aria-live"); });
    stage.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      const [tall, wide] = examples[number].shape, far = event.shiftKey ? 10 : 1;
      at = [at[0] + (step[0] * far) / wide, at[1] + (step[1] * far) / tall].map((part) => Math.min(Math.max(part, 0), 0.9999));
      cross.hidden = false;
      read(figure, number, ...at);
    });
  });
  tabs(block.querySelector('[role="tablist"]'), (number, tab) => {
    chosen = number;
    block.querySelector('[role="tabpanel"]').setAttribute("aria-labelledby", tab.id);
    show();
  });
  blend.addEventListener("input", mix);
  if (other) { other.addEventListener("change", show); edge.addEventListener("input", mix); }
  show();
}

function pieces(block) {
  const panels = [...block.querySelectorAll('[role="tabpanel"]')];
  tabs(block.querySelector('[role="tablist"]'), (number) => panels.forEach((panel, i) => { panel.hidden = i !== number; }));
}

function film(figure) {
  const frames = [...figure.querySelectorAll("img")], slider = figure.querySelector("input"), said = figure.querySelector("output");
  slider.addEventListener("input", () => {
    frames.forEach((frame, i) => { frame.hidden = i !== Number(slider.value); });
    said.textContent = frames[slider.value].dataset.shown;
    slider.setAttribute("aria-valuetext", said.textContent);
  });
}

function sortable(table) {
  const heads = [...table.querySelectorAll("th")], body = table.tBodies[0];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((each) => each.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const order = (row) => row.cells[column].dataset.order;
    const number = (row) => Number(order(row).replace("inf", "Infinity"));
    const empty = (row) => order(row) === "-inf" || order(row) === "nan"; // what has no value stands last, up and down
    const rows = [...body.rows], known = rows.filter((row) => !empty(row));
    const numbers = known.every((row) => order(row) !== "" && !Number.isNaN(number(row)));
    known.sort((one, two) => (numbers ? number(one) - number(two) : order(one).localeCompare(order(two))));
    body.append(...(down ? known.reverse() : known), ...rows.filter(empty));
  }));
}

/* Charts in the colours of the theme; drawn anew when that changes. */
const LINES = { light: ["#1b7f5c", "#b35900", "#7a4fa3", "#35617f", "#8c564b", "#5f6b76"], dark: ["#6fcfa8", "#f0a35e", "#c3a1e8", "#8fc1e3", "#d9a79c", "#b6c0ca"] };
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const style = getComputedStyle(document.documentElement), of = (name) => style.getPropertyValue(name).trim();
  const [ink, quiet, line] = [of("--ink"), of("--quiet"), of("--line")];
  return {
    names: { "\ue000mark": of("--accent"), "\ue000for": of("--for"), "\ue000against": of("--against"), "\ue000ink": ink, "\ue000quiet": quiet, "\ue000paper": of("--card") },
    config: {
      background: "transparent", font: style.fontFamily || "sans-serif", aria: false, padding: { left: 2, right: 16, top: 6, bottom: 6 },
      view: { stroke: null },
      axis: { labelColor: quiet, titleColor: quiet, domainColor: line, gridColor: line, tickColor: line, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" },
      legend: { labelColor: ink, titleColor: quiet, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" },
      range: { category: LINES[dark.matches ? "dark" : "light"] },
    },
  };
}

function named(spec, names) {
  if (typeof spec === "string") return names[spec] ?? spec;
  if (Array.isArray(spec)) return spec.map((each) => named(each, names));
  if (spec && typeof spec === "object") return Object.fromEntries(Object.entries(spec).map(([key, each]) => [key, named(each, names)]));
  return spec;
}

/* The words of a chart stand on the element around it; its parts would be read one by one. */
function silent({ view }) {
  const place = view.container().closest(".inside"), spoken = ["role", "aria-roledescription", "aria-label"];
  [place, ...place.querySelectorAll("[role], [aria-label]")].forEach((part) => spoken.forEach((name) => part.removeAttribute(name)));
}

function chart(figure) {
  const place = figure.querySelector(".inside"), spec = JSON.parse(figure.querySelector(".spec").textContent);
  const draw = () => {
    const { names, config } = theme();
    const wide = Math.max(place.clientWidth - 110, 160);
    const full = named(spec, { ...names, "\ue000width": wide });
    // Data are values, not names of colours.
    [spec, ...(spec.vconcat || [])].forEach((part, i) => { if (part.data) (i ? full.vconcat[i - 1] : full).data = part.data; });
    if (full.width === "container") full.autosize = { type: "fit-x", contains: "padding" };
    return vegaEmbed(place, { ...full, config }, { actions: false, renderer: "svg", tooltip: { theme: "custom" } }).then(silent);
  };
  const folded = figure.closest("details:not([open])");
  if (folded) folded.addEventListener("toggle", draw, { once: true }); else draw();
  dark.addEventListener("change", draw);
}

document.querySelectorAll(".maps").forEach(maps);
document.querySelectorAll(".pieces").forEach(pieces);
document.querySelectorAll(".film").forEach(film);
document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll(".chart").forEach((figure) => { try { chart(figure); } catch (error) { console.error(error); } });
