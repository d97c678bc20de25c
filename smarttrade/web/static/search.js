/** The search over symbols. Loaded when its field gets the focus. */

export class Search {
  #field;
  #list;

  /** `onChoose` is called with the symbol that Enter chooses. */
  constructor(field, list, onChoose) {
    this.#field = field;
    this.#list = list;
    field.addEventListener("input", () => this.#filter());
    field.addEventListener("keydown", ({ key }) => {
      if (key !== "Enter" && key !== "Escape") return;
      const [first] = this.#found();
      if (key === "Enter" && field.value && first) onChoose(symbolOf(first));
      if (key === "Escape") field.value = "";
      this.#filter();
      field.blur();
    });
    this.#filter();
  }

  /** Rows whose symbol contains the text, those that begin with it first. */
  #found() {
    const wanted = this.#field.value.trim().toUpperCase();
    const found = [...this.#list.children].filter((row) => symbolOf(row).includes(wanted));
    return found.sort((one, other) => symbolOf(other).startsWith(wanted) - symbolOf(one).startsWith(wanted));
  }

  #filter() {
    const found = new Set(this.#found());
    for (const row of this.#list.children) row.hidden = !found.has(row);
  }
}

const symbolOf = (row) => row.querySelector(".symbol").textContent;
