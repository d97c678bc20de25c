/** The menu of what is shown: indicators, scale, time zone, number of charts. Loaded when it is opened. */

import * as format from "./format.js";
import { fullScreen } from "./full-screen.js";
import { MAX_OVERLAYS, nameOf } from "./indicators.js";

const OVERLAYS = ["ma=20", "ema=50", "vwap"];
const RSI = "rsi=14";

export class Menu {
  #element;
  #view;

  /** `view` is what is shown, and changes it. */
  constructor(element, view) {
    this.#element = element;
    this.#view = view;
    const acts = {
      scale: (value) => this.#setLook({ scale: value }),
      zone: (value) => this.#setZone(value),
      charts: (value) => this.#setCount(Number(value)),
      action: (value) => (value === "picture" ? this.#savePicture() : fullScreen(view.notify)),
    };
    for (const button of element.querySelectorAll("button[name]")) {
      button.addEventListener("click", () => {
        acts[button.name](button.value);
        this.draw();
      });
    }
    element.addEventListener("keydown", ({ key }) => {
      if (key !== "Escape") return;
      element.open = false;
      element.querySelector("summary").focus();
    });
    document.addEventListener("pointerdown", ({ target }) => element.contains(target) || (element.open = false));
    this.draw();
    element.querySelector("div").hidden = false;
  }

  draw() {
    const { look, panels } = this.#view;
    const values = { scale: look.scale, zone: localStorage.getItem("time_zone") ?? "utc", charts: String(panels.length) };
    for (const button of this.#element.querySelectorAll("button[name]")) {
      if (button.name in values) button.setAttribute("aria-pressed", String(button.value === values[button.name]));
    }
    const overlays = [...new Set([...OVERLAYS, ...look.overlays])];
    const rsi = look.rsi ?? RSI;
    const group = this.#element.querySelector("#indicators");
    const place = [...group.children].indexOf(document.activeElement);
    group.replaceChildren(
      ...overlays.map((word) => toggle(nameOf(word), look.overlays.includes(word), () => this.#toggleOverlay(word))),
      toggle(nameOf(rsi), look.rsi, () => this.#setLook({ rsi: look.rsi ? null : rsi })),
    );
    group.children[place]?.focus();
  }

  /** The newest three stay. */
  #toggleOverlay(word) {
    const { overlays } = this.#view.look;
    const others = overlays.filter((each) => each !== word);
    const isOn = others.length < overlays.length;
    this.#setLook({ overlays: isOn ? others : [...others, word].slice(-MAX_OVERLAYS) });
  }

  #setLook(changes) {
    const { look, showLook, remember } = this.#view;
    Object.assign(look, changes);
    showLook();
    remember("replace");
  }

  /** The first ones that are shown stay; others are of symbols that are not. */
  #setCount(count) {
    const { panels, active, market, setPanels, activate, remember } = this.#view;
    const others = market.symbols.filter((each) => !panels.some(({ symbol }) => symbol === each));
    const added = () => ({ symbol: others.shift() ?? active.symbol, interval: active.interval });
    setPanels(Array.from({ length: count }, (_, index) => panels[index] ?? added()));
    if (!panels.includes(active)) activate(panels[0]);
    remember("push");
  }

  #setZone(zone) {
    localStorage.setItem("time_zone", zone);
    format.useLocalTime(zone === "local");
    for (const panel of this.#view.panels) panel.redrawTimes();
  }

  async #savePicture() {
    const { savePicture } = await import("./picture.js");
    await savePicture(this.#view.active);
  }
}

function toggle(text, isOn, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.setAttribute("aria-pressed", String(Boolean(isOn)));
  button.addEventListener("click", act);
  return button;
}
