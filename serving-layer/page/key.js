// The API key, if the server wants one. It is kept in this tab alone, and is gone when the tab is closed.

import { byId } from "./element.js";

const KEPT = "braid-key";
let key = kept();
let asking = null;
// After "Cancel", requests fail until the reader asks for the dialog again.
let wasRefused = false;

function kept() {
  try {
    return sessionStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

/** What a request sends. */
export const keyHeaders = () => (key ? { authorization: `Bearer ${key}` } : {});

/** Asks the reader for a key; true once there is another one than a request has sent. Requests that wait share one dialog. */
export async function askForKey(why, sent) {
  if (keyHeaders().authorization !== sent) return true;
  if (wasRefused) return false;
  asking ??= dialog(why, Boolean(sent)).finally(() => {
    asking = null;
  });
  return asking;
}

/** Lets the dialog come again. */
export function mayAskAgain() {
  wasRefused = false;
}

function dialog(why, hasKey) {
  const [box, field, cancel] = [byId("key"), byId("key-value"), byId("key-cancel")];
  byId("key-why").textContent = hasKey ? `The key was refused: ${why}` : `This server answers only with a key: ${why}`;
  field.value = "";
  return new Promise((resolve) => {
    const refuse = () => box.close("");
    const closed = () => {
      cancel.removeEventListener("click", refuse);
      const given = box.returnValue === "use" ? field.value.trim() : "";
      field.value = "";
      box.returnValue = "";
      wasRefused = given === "";
      if (given) keep(given);
      resolve(given !== "");
    };
    cancel.addEventListener("click", refuse);
    box.addEventListener("close", closed, { once: true });
    box.showModal();
    field.focus();
  });
}

function keep(given) {
  key = given;
  try {
    sessionStorage.setItem(KEPT, given);
  } catch {
    // It is held until the page is left.
  }
}
