/**
 * The chart library, from where the server said that it is: beside this page when it was bundled,
 * else a public CDN, with the hash of the one file that we trust.
 */

const WITHIN = 10_000; // ms; a network that swallows requests never says no

/** Resolves to the library, or to null when it is not to be had. */
export function loadLibrary() {
  const { library, integrity } = document.body.dataset;
  return new Promise((resolve) => {
    const script = document.createElement("script");
    script.onload = () => resolve(globalThis.LightweightCharts ?? null);
    script.onerror = () => resolve(null);
    setTimeout(() => resolve(null), WITHIN);
    script.integrity = integrity;
    script.crossOrigin = "anonymous";
    script.src = library;
    document.head.append(script);
  });
}
