/** What is loaded beside the page's own modules. */

const LOAD_TIMEOUT = 10_000; // ms; a network that drops requests never answers

/**
 * The chart library, from where the server says that it is: beside this page when it was bundled,
 * else a public CDN, with the hash of the one file that we trust. Null when it cannot be loaded.
 */
export async function loadLibrary() {
  const { library, integrity } = document.body.dataset;
  await load(Object.assign(document.createElement("script"), { integrity, crossOrigin: "anonymous", src: library }));
  return globalThis.LightweightCharts ?? null;
}

const styles = {};

/** The style of what is not shown at once. */
export function loadStyle(name) {
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: `static/${name}.css` });
  return (styles[name] ??= load(link));
}

function load(element) {
  return new Promise((resolve) => {
    element.onload = element.onerror = resolve;
    setTimeout(resolve, LOAD_TIMEOUT);
    document.head.append(element);
  });
}
