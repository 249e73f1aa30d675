/** The service's API: every failure is an `ApiError` with a code and a sentence. */

import { $, dialogHead, h, openDialog } from "./dom.js";

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Fetches and reads JSON; asks for the token once where the server wants one. */
export async function call(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "offline", "The server does not answer. Is clothret still running?");
  }
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const body = await answer.json().catch(() => ({}));
  const { code = "http", message = `The server answered ${answer.status}.` } = body.error ?? {};
  if (answer.status === 401 && path !== "/api/v1/login") {
    await login();
    return call(path, options);
  }
  throw new ApiError(answer.status, code, message);
}

export const get = (path, params = {}, options = {}) => {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== null && value !== undefined && value !== ""));
  return call(`/api/v1/${path}${query.size ? `?${query}` : ""}`, options);
};

export const post = (path, body, options = {}) =>
  call(`/api/v1/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    ...options,
  });

export function detect(blob, catalog, options = {}) {
  const form = new FormData();
  form.set("image", blob, blob.name ?? "picture");
  form.set("catalog", catalog);
  return call("/api/v1/detect", { method: "POST", body: form, ...options });
}

export const imageUrl = (catalog, imageId, size) =>
  `/image/${encodeURIComponent(catalog)}/${imageId}${size ? `?size=${size}` : ""}`;

let asking = null;

/** Asks for the server's token until it is right; the server keeps it in a cookie. */
function login() {
  asking ??= new Promise((resolve) => {
    const dialog = $("token-dialog");
    const input = h("input", { type: "password", id: "token", autocomplete: "current-password", required: true });
    const fault = h("p", { class: "where-error", role: "alert" });
    const form = h("form", {
      class: "token-form",
      onsubmit: async (event) => {
        event.preventDefault();
        try {
          await post("login", { token: input.value });
        } catch (error) {
          fault.textContent = error.message;
          return;
        }
        dialog.close();
        asking = null;
        resolve();
      },
    }, h("label", { for: "token" }, "The token this server was started with"), input, fault,
      h("button", { class: "button primary" }, "Continue"));
    dialog.oncancel = (event) => event.preventDefault();
    openDialog(dialog, dialogHead("token-title", "This catalog is private", dialog), form);
    dialog.querySelector(".close").remove();
    dialog.onclick = null;
    input.focus();
  });
  return asking;
}
