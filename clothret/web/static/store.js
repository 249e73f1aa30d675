/** Pictures of one's own, kept in this browser so that an address with one works again. */

const NAME = "clothret";
const KEPT = 20;

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore("pictures", { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

const memory = new Map();

/** Keeps a picture under the name the server gave it; the oldest of many leave. */
export async function keep(id, file) {
  memory.set(id, file);
  try {
    const store = (await open()).transaction("pictures", "readwrite").objectStore("pictures");
    await done(store.put({ id, file, name: file.name ?? "picture.jpg", at: Date.now() }));
    const all = await done(store.getAll());
    for (const old of all.sort((a, b) => b.at - a.at).slice(KEPT)) store.delete(old.id);
  } catch (error) {
    console.info("pictures are kept for this visit only:", error); // a private window, a full disk
  }
}

/** A kept picture, or null. */
export async function recall(id) {
  if (memory.has(id)) return memory.get(id);
  try {
    const found = await done((await open()).transaction("pictures").objectStore("pictures").get(id));
    return found ? found.file : null;
  } catch {
    return null;
  }
}
