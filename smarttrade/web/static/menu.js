/** The menu of what is shown: indicators, scale, time zone, number of charts, picture, full screen. */

import { MAX_OVERLAYS, isSame, nameOf } from "./address.js";

const OVERLAYS = [{ kind: "ma", length: 20 }, { kind: "ema", length: 50 }, { kind: "vwap" }];
const RSI = { kind: "rsi", length: 14 };

export class Menu {
  #element;
  #look = null;
  #onLook;

  /** `onLook` is called with what changes of overlays, rsi and scale. */
  constructor(element, { onLook, onCharts, onZone, onPicture, onFullScreen }) {
    this.#element = element;
    this.#onLook = onLook;
    this.#each("scale", (button) => onLook({ scale: button.value }));
    this.#each("charts", (button) => onCharts(Number(button.value)));
    this.#each("zone", (button) => onZone(button.value === "local"));
    this.#each("action", (button) => (button.value === "picture" ? onPicture() : onFullScreen()));
    element.addEventListener("keydown", ({ key }) => key === "Escape" && this.#close());
    document.addEventListener("pointerdown", ({ target }) => element.contains(target) || (element.open = false));
  }

  showLook(look) {
    this.#look = look;
    this.#press("scale", look.scale);
    const others = look.overlays.filter((each) => !OVERLAYS.some((one) => isSame(one, each)));
    const overlays = [...OVERLAYS, ...others].map((each) =>
      toggle(nameOf(each), look.overlays.some((one) => isSame(one, each)), () => this.#toggleOverlay(each)),
    );
    const rsi = look.rsi ?? RSI;
    overlays.push(toggle(nameOf(rsi), look.rsi !== null, () => this.#onLook({ rsi: this.#look.rsi ? null : rsi })));
    const group = this.#element.querySelector("#indicators");
    const place = [...group.children].indexOf(document.activeElement);
    group.replaceChildren(...overlays);
    group.children[place]?.focus();
  }

  showCharts(count) {
    this.#press("charts", String(count));
  }

  showZone(isLocal) {
    this.#press("zone", isLocal ? "local" : "utc");
  }

  /** The newest three stay. */
  #toggleOverlay(overlay) {
    const others = this.#look.overlays.filter((each) => !isSame(each, overlay));
    const isOn = others.length < this.#look.overlays.length;
    this.#onLook({ overlays: isOn ? others : [...others, overlay].slice(-MAX_OVERLAYS) });
  }

  #each(name, act) {
    for (const button of this.#element.querySelectorAll(`button[name="${name}"]`)) {
      button.addEventListener("click", () => act(button));
    }
  }

  #press(name, value) {
    for (const button of this.#element.querySelectorAll(`button[name="${name}"]`)) {
      button.setAttribute("aria-pressed", String(button.value === value));
    }
  }

  #close() {
    this.#element.open = false;
    this.#element.querySelector("summary").focus();
  }
}

function toggle(text, isOn, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.setAttribute("aria-pressed", String(isOn));
  button.addEventListener("click", act);
  return button;
}
