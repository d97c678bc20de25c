// Copies the module that the server serves into the package, before it is packed.
import { copyFileSync } from "node:fs";

const STATIC = new URL("../../smarttrade/web/static/", import.meta.url);
for (const name of ["smarttrade-client.js", "smarttrade-client.d.ts"]) {
  copyFileSync(new URL(name, STATIC), new URL(name, import.meta.url));
}
copyFileSync(new URL("../../LICENSE", import.meta.url), new URL("LICENSE", import.meta.url));
