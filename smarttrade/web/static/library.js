/**
 * The chart library, from where the server says that it is: beside this page when it was bundled,
 * else a public CDN, with the hash of the one file that we trust.
 */

const LOAD_TIMEOUT = 10_000; // ms; a network that drops requests never answers

/** Resolves to the library, or to null when it cannot be loaded. */
export function loadLibrary() {
  const { library, integrity } = document.body.dataset;
  return new Promise((resolve) => {
    const script = document.createElement("script");
    script.onload = () => resolve(globalThis.LightweightCharts ?? null);
    script.onerror = () => resolve(null);
    setTimeout(() => resolve(null), LOAD_TIMEOUT);
    script.integrity = integrity;
    script.crossOrigin = "anonymous";
    script.src = library;
    document.head.append(script);
  });
}
