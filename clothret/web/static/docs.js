/** A page of the API's OpenAPI document, without anything from elsewhere. */

import { $, h } from "./dom.js";

const spec = await (await fetch("/openapi.json")).json();

const resolve = (schema) => (schema?.$ref ? spec.components.schemas[schema.$ref.split("/").pop()] : schema) ?? {};

/** A schema in a few words. */
function kind(schema) {
  const plain = resolve(schema);
  if (plain.anyOf) return plain.anyOf.map(kind).filter((name) => name !== "null").join(" or ");
  if (plain.type === "array") return `list of ${kind(plain.items ?? {})}`;
  return plain.title && plain.type === "object" ? plain.title : plain.format === "binary" ? "file" : plain.type ?? "any";
}

function table(rows) {
  if (!rows.length) return null;
  return h("div", { class: "table", tabindex: 0, role: "group", "aria-label": "Fields" }, h("table", {},
    h("thead", {}, h("tr", {}, ["name", "type", ""].map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, rows.map(([name, schema, required, text]) =>
      h("tr", {}, h("th", { scope: "row" }, h("code", {}, name)), h("td", {}, kind(schema)), h("td", {}, [required ? "required. " : "", text ?? resolve(schema).description ?? ""].join("")))))));
}

const fields = (schema) => Object.entries(resolve(schema).properties ?? {}).map(([name, inner]) =>
  [name, inner, resolve(schema).required?.includes(name), inner.description]);

function operation(path, method, { summary, description, parameters = [], requestBody, responses = {} }) {
  const bodies = Object.entries(requestBody?.content ?? {}).map(([type, { schema }]) => [h("h3", {}, `Body: ${type}`), table(fields(schema))]);
  const answer = responses["200"]?.content?.["application/json"]?.schema;
  return h("section", { class: "card operation" },
    h("h2", {}, h("span", { class: "method" }, method.toUpperCase()), " ", h("code", {}, path)),
    h("p", {}, description ?? summary),
    table(parameters.map((parameter) => [parameter.name, parameter.schema, parameter.required, parameter.description ?? parameter.schema.description])),
    bodies, answer && fields(answer).length ? [h("h3", {}, "Answer"), table(fields(answer))] : null);
}

$("docs").replaceChildren(
  h("h1", {}, "API"),
  h("p", {}, `${spec.info.title} ${spec.info.version}. Every refusal is `, h("code", {}, '{"error": {"code", "message"}}'), " with a status from 400 on."),
  ...Object.entries(spec.paths).flatMap(([path, operations]) => Object.entries(operations).map(([method, content]) => operation(path, method, content))));
