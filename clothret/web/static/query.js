/** The whole query as one value, and as the address of the page. */

export const CRITERIA = ["color", "texture", "shape"];
const STEP = 24;
const MOST = 240;

/** Nothing asked yet. */
export const blank = (catalog = null) => ({
  catalog,
  garmentId: null, // a garment of the catalog
  picture: null, // or a picture of one's own, by the name the server gave it
  number: null, // its garment; null: the largest
  box: null, // or a box drawn in it
  weights: { color: 1, texture: 1, shape: 1 },
  filters: {}, // column → { values: [...] } or { from, to }
  where: "",
  k: STEP,
});

export const asked = (query) => Boolean(query.garmentId || query.picture);
export const more = (query) => ({ ...query, k: Math.min(query.k + STEP, MOST) });
export const canShowMore = (query) => query.k < MOST;

/** Everything but the garment is kept: "more like this" stays within the filters. */
export const withGarment = (query, garmentId) =>
  ({ ...query, garmentId, picture: null, number: null, box: null, k: STEP });

export const withPicture = (query, picture, number = null, box = null) =>
  ({ ...query, garmentId: null, picture, number, box, k: STEP });

/** The page's address for a query. */
export function toAddress(query) {
  const params = new URLSearchParams();
  if (query.catalog) params.set("catalog", query.catalog);
  if (query.garmentId) params.set("garment", query.garmentId);
  if (query.picture) params.set("picture", query.picture);
  if (query.number !== null) params.set("n", query.number);
  if (query.box) params.set("box", query.box.map((side) => Math.round(side)).join(","));
  for (const name of CRITERIA) if (query.weights[name] !== 1) params.set(name, query.weights[name]);
  for (const [column, filter] of Object.entries(query.filters)) {
    if (filter.values) filter.values.forEach((value) => params.append(`is.${column}`, value));
    else params.set(`in.${column}`, `${filter.from ?? ""}..${filter.to ?? ""}`);
  }
  if (query.where) params.set("where", query.where);
  if (query.k !== STEP) params.set("k", query.k);
  return params.size ? `/?${params}` : "/";
}

/** The query that an address holds; what is malformed counts as left out. */
export function fromAddress(search) {
  const params = new URLSearchParams(search);
  const query = blank(params.get("catalog"));
  const garment = params.get("garment");
  if (/^[0-9a-f]{16}-\d{1,6}$/.test(garment ?? "")) query.garmentId = garment;
  else if (/^[0-9a-f]{32}$/.test(params.get("picture") ?? "")) query.picture = params.get("picture");
  if (query.picture && /^\d{1,4}$/.test(params.get("n") ?? "")) query.number = Number(params.get("n"));
  const box = (params.get("box") ?? "").split(",").map(Number);
  if (query.picture && box.length === 4 && box.every(Number.isFinite)) query.box = box;
  for (const name of CRITERIA) {
    const weight = Number(params.get(name) ?? 1);
    if (weight >= 0 && weight <= 1) query.weights[name] = weight;
  }
  if (!CRITERIA.some((name) => query.weights[name] > 0)) query.weights = blank().weights;
  for (const [key, value] of params) {
    const column = key.slice(3);
    if (key.startsWith("is.")) (query.filters[column] ??= { values: [] }).values?.push(value);
    if (key.startsWith("in.") && value.includes("..")) {
      const [from, to] = value.split("..");
      query.filters[column] = { from: from || null, to: to || null };
    }
  }
  query.where = params.get("where") ?? "";
  const k = Number(params.get("k") ?? STEP);
  if (Number.isInteger(k) && k >= 1 && k <= MOST) query.k = k;
  return query;
}

const name = (column) => (/^[A-Za-z_][A-Za-z0-9_]*$/.test(column) ? column : `"${column.replaceAll('"', '""')}"`);
const text = (value) => `'${String(value).replaceAll("'", "''")}'`;

/** One column's filter as SQL; `kind` is the facet's: text, boolean, number or date. */
export function filterToSql(column, filter, kind) {
  if (filter.values) {
    if (kind === "boolean") {
      return filter.values.map((value) => (value === "true" ? name(column) : `not ${name(column)}`)).join(" or ");
    }
    const values = filter.values.map(text);
    return values.length === 1 ? `${name(column)} = ${values[0]}` : `${name(column)} in (${values.join(", ")})`;
  }
  const bound = (value) => (kind === "number" ? String(Number(value)) : text(value));
  const parts = [];
  if (filter.from !== null) parts.push(`${name(column)} >= ${bound(filter.from)}`);
  if (filter.to !== null) parts.push(`${name(column)} <= ${bound(filter.to)}`);
  return parts.join(" and ");
}

/** Filters and expression together, or null. `kinds`: column → kind. */
export function whereOf(query, kinds) {
  const parts = Object.entries(query.filters).map(([column, filter]) => filterToSql(column, filter, kinds[column] ?? "text"));
  if (query.where.trim()) parts.push(query.where.trim());
  const filled = parts.filter(Boolean);
  if (filled.length === 1) return filled[0];
  return filled.length ? filled.map((part) => `(${part})`).join(" and ") : null;
}

/** The body of `POST /api/v1/search`. */
export function toBody(query, kinds) {
  const body = { catalog: query.catalog, weights: query.weights, k: query.k };
  const where = whereOf(query, kinds);
  if (where) body.where = where;
  return { ...body, ...chosen(query) };
}

/** The part of a body that says which garment is meant. */
export function chosen(query) {
  if (query.garmentId) return { garment_id: query.garmentId };
  const body = { picture: query.picture };
  if (query.box) body.box = query.box;
  else if (query.number !== null) body.garment = query.number;
  return body;
}

const shell = (value) => (/^[\w@%+=:,./-]+$/.test(value) ? value : `'${String(value).replaceAll("'", `'\\''`)}'`);

/** The query as a command line. `file` is the picture's name on the disk. */
export function toCommand(query, kinds, file) {
  const words = ["clothret query"];
  if (query.garmentId) words.push("--garment-id", query.garmentId);
  else words.push(shell(file));
  words.push("--catalog", shell(query.catalog));
  if (query.box) words.push("--box", query.box.map((side) => Math.round(side)).join(","));
  else if (query.picture && query.number !== null) words.push("--garment", query.number);
  words.push("--weights", CRITERIA.map((criterion) => `${criterion}=${query.weights[criterion]}`).join(","));
  const where = whereOf(query, kinds);
  if (where) words.push("--where", shell(where));
  words.push("-k", query.k);
  return words.join(" ");
}

/** The query as curl; a picture of one's own is sent along. */
export function toCurl(query, kinds, file, origin) {
  if (query.garmentId) {
    return `curl ${origin}/api/v1/search -H 'Content-Type: application/json' -d ${shell(JSON.stringify(toBody(query, kinds)))}`;
  }
  const fields = { catalog: query.catalog, weights: CRITERIA.map((c) => `${c}=${query.weights[c]}`).join(","), k: query.k };
  if (query.box) fields.box = query.box.map((side) => Math.round(side)).join(",");
  else if (query.number !== null) fields.garment = query.number;
  const where = whereOf(query, kinds);
  if (where) fields.where = where;
  const form = Object.entries(fields).map(([field, value]) => `--form-string ${shell(`${field}=${value}`)}`);
  return [`curl ${origin}/api/v1/search`, `-F ${shell(`image=@${file}`)}`, ...form].join(" ");
}
