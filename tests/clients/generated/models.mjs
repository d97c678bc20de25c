// Checks the AsyncAPI document that is given, and writes a type for each of its messages.
import { TypeScriptGenerator } from "@asyncapi/modelina";
import { Parser } from "@asyncapi/parser";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const ERROR = 0; // severity
const text = readFileSync(process.argv[2], "utf8");
const { document, diagnostics } = await new Parser().parse(text);
const errors = diagnostics.filter(({ severity }) => severity === ERROR);
if (document === undefined || errors.length) throw new Error(JSON.stringify(errors));

const generator = new TypeScriptGenerator({ modelType: "interface", enumType: "union", rawPropertyNames: true });
mkdirSync("models", { recursive: true });
for (const { modelName, result } of await generator.generateCompleteModels(JSON.parse(text), { exportType: "named" })) {
  writeFileSync(`models/${modelName}.ts`, `${result}\n`);
}
