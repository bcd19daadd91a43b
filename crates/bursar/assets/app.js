// What the pages do by themselves where JavaScript runs. Every page works without it: this only saves a reload, a
// second press and some ticking of boxes.
"use strict";

document.addEventListener("input", (event) => {
  if (event.target.form) event.target.form.dataset.typed = "yes";
});

// A form that was sent is not sent again by an impatient second press.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
});

// A page that comes back from the browser's memory can be sent again.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.forms) delete form.dataset.sent;
});

// With Shift, a tick counts for every row since the last one.
let ticked = null;
document.addEventListener("click", (event) => {
  const box = event.target;
  if (!box.matches || !box.matches("tbody input[type=checkbox]")) return;
  if (event.shiftKey && ticked && ticked.form === box.form && ticked.name === box.name) {
    const boxes = [...box.form.querySelectorAll(`tbody input[name="${box.name}"]`)];
    const ends = [boxes.indexOf(ticked), boxes.indexOf(box)].sort((a, b) => a - b);
    for (const between of boxes.slice(ends[0], ends[1] + 1)) between.checked = box.checked;
    count(box.form);
  }
  ticked = box;
});

// A list whose choice is made goes there at once.
document.addEventListener("change", (event) => {
  if (event.target.matches("select[data-go]")) event.target.form.requestSubmit();
  if (event.target.matches("input[data-all]")) {
    const boxes = event.target.closest("form").querySelectorAll(`input[name="${event.target.dataset.all}"]`);
    for (const box of boxes) box.checked = event.target.checked;
  }
  count(event.target.closest("form"));
});

// How many rows are ticked, said beside the buttons that act on them.
function count(form) {
  const told = form && form.querySelector("[data-count]");
  if (!told) return;
  const boxes = [...form.querySelectorAll(`input[name="${told.dataset.count}"]:checked`)];
  const sums = new Map();
  for (const { minor, unit, digits } of boxes.map((box) => box.dataset).filter((data) => data.minor)) {
    const [sum] = sums.get(unit) ?? [0n];
    sums.set(unit, [sum + BigInt(minor), Number(digits)]);
  }
  const parts = [...sums].map(([unit, [sum, digits]]) => `${decimal(sum, digits)} ${unit}`);
  const words = [`${boxes.length} selected`, ...parts].join(" · ");
  told.textContent = form.elements.all?.checked ? "All that match, not only the selected ones." : boxes.length === 0 ? "Nothing selected." : `${words}${parts.length ? "" : "."}`;
}

// Whole minor units as people write them.
function decimal(minor, digits) {
  const text = String(minor < 0n ? -minor : minor).padStart(digits + 1, "0");
  const at = text.length - digits;
  const whole = text.slice(0, at).replace(/\B(?=(\d{3})+$)/g, ",");
  return `${minor < 0n ? "−" : ""}${whole}${digits ? "." : ""}${text.slice(at)}`;
}
for (const form of document.forms) count(form);

document.addEventListener("click", (event) => {
  if (event.target.matches("[data-print]")) window.print();
  for (const open of document.querySelectorAll(".toolbar details[open]")) {
    if (!open.contains(event.target)) open.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  const open = event.key === "Escape" && document.querySelector(".toolbar details[open]");
  if (!open) return;
  open.open = false;
  open.firstElementChild.focus();
});

// The zone of the browser, where nobody has chosen one, or by a press.
function ownZone(list) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if ([...list.options].some((one) => one.value === zone)) list.value = zone;
}
document.querySelectorAll("select[data-zone]").forEach(ownZone);

// What is pressed beside a field: its password is shown, the browser's zone is chosen, a word is put where one typed last.
let typing = null;
document.addEventListener("focusin", (event) => {
  if (event.target.matches("#subject, #body")) typing = event.target;
});
document.addEventListener("click", (event) => {
  const { target } = event;
  if (target.matches("[data-show]")) {
    for (const field of target.form.querySelectorAll("[autocomplete$=-password]")) field.type = target.checked ? "text" : "password";
  }
  const own = target.closest("[data-own-zone]");
  if (own) ownZone(document.getElementById(own.dataset.ownZone));
  const insert = target.closest("[data-insert]");
  const field = insert && (typing ?? document.getElementById("body"));
  if (!field) return;
  field.setRangeText(insert.dataset.insert, field.selectionStart, field.selectionEnd, "end");
  field.focus();
});

// A frame is as high as what it shows, and not there while it shows nothing.
for (const frame of document.querySelectorAll("iframe[data-fits]")) {
  const fit = () => {
    frame.hidden = !frame.contentDocument?.body?.childElementCount;
    if (!frame.hidden) frame.style.height = `${frame.contentDocument.documentElement.scrollHeight + 4}px`;
  };
  frame.addEventListener("load", fit);
  // It may have been loaded before this script.
  fit();
}

// What somebody wants elsewhere is copied by a button beside it.
function withCopies(page) {
  for (const text of page.querySelectorAll("[data-copy]:not([data-has])")) {
    text.dataset.has = "yes";
    const button = Object.assign(document.createElement("button"), { type: "button", className: "btn slim copy" });
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy ${text.textContent}`);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text.textContent.trim());
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(text);
        button.textContent = "Press Ctrl-C";
      }
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
    text.after(" ", button);
  }
}
withCopies(document);

// What can only be chosen where this runs is shown where this runs.
for (const part of document.querySelectorAll("[data-js]")) part.hidden = false;

// Passkeys: the server says what a device is asked for, and what it answers goes with an ordinary form. Bytes travel in base64url.
const opened = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
const closed = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

async function answered(asked) {
  const challenge = opened(asked.challenge);
  const known = asked.known.map((id) => ({ type: "public-key", id: opened(id) }));
  if (asked.owner) {
    const publicKey = {
      challenge,
      rp: { id: asked.site, name: "Bursar" },
      user: { id: opened(asked.owner.id), name: asked.owner.email, displayName: asked.owner.name },
      pubKeyCredParams: asked.algorithms.map((alg) => ({ type: "public-key", alg })),
      authenticatorSelection: { residentKey: "required", requireResidentKey: true, userVerification: "required" },
      excludeCredentials: known,
      attestation: "none",
    };
    const { response } = await navigator.credentials.create({ publicKey });
    return { client_data: closed(response.clientDataJSON), authenticator_data: closed(response.getAuthenticatorData()) };
  }
  const publicKey = { challenge, rpId: asked.site, allowCredentials: known, userVerification: "required" };
  const { rawId, response } = await navigator.credentials.get({ publicKey });
  return {
    id: closed(rawId),
    client_data: closed(response.clientDataJSON),
    authenticator_data: closed(response.authenticatorData),
    signature: closed(response.signature),
    user: response.userHandle ? closed(response.userHandle) : null,
  };
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-passkey]");
  if (!button) return;
  const { form, dataset } = button;
  const failed = button.parentElement.querySelector("[data-failed]");
  failed.hidden = true;
  button.disabled = true;
  try {
    let asked = dataset.asked;
    if (!asked) {
      const answer = await fetch(dataset.passkey, { method: "POST", body: new URLSearchParams(dataset.send) });
      asked = answer.ok ? await answer.text() : "";
    }
    const field = Object.assign(document.createElement("input"), { type: "hidden", name: "passkey" });
    field.value = JSON.stringify(await answered(JSON.parse(asked)));
    form.append(field);
    form.noValidate = true;
    form.requestSubmit();
  } catch {
    failed.hidden = false;
    button.disabled = false;
  }
});

for (const part of document.querySelectorAll("[data-passkeys]")) part.hidden = !window.PublicKeyCredential;
for (const part of document.querySelectorAll("[data-no-passkeys]")) part.hidden = Boolean(window.PublicKeyCredential);

// Single keys, where the reader has not switched them off. None of them pays or deletes.
const places = { h: "/", r: "/rewards", c: "/claims", d: "/dashboard/summary", p: "/partners", s: "/settings/payouts" };
let going = 0;
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select, dialog");
  if (!("keys" in document.body.dataset) || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const went = Date.now() - going < 1500;
  going = 0;
  if (went && places[event.key]) {
    location.href = places[event.key];
  } else if (event.key === "g") {
    going = Date.now();
  } else if (event.key === "/") {
    document.getElementById("search")?.focus();
  } else if (event.key === "?") {
    document.getElementById("keys")?.showModal();
  } else if (!row(event.key)) {
    return;
  }
  event.preventDefault();
});

// j and k move from row to row, x ticks the row and e edits it. The row is where the focus is.
function row(key) {
  const rows = [...document.querySelectorAll("main table.rows tbody tr, main details.claim > summary")];
  const at = rows.findIndex((one) => one.contains(document.activeElement));
  const here = rows[at];
  if (key === "j" || key === "k") {
    const next = rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + (key === "j" ? 1 : -1)))];
    const link = next?.matches("summary") ? next : next?.querySelector(".first a, a, input");
    link?.focus();
    link?.scrollIntoView({ block: "nearest" });
    return Boolean(link);
  }
  if (key === "x") {
    const box = here?.querySelector("input[type=checkbox]");
    box?.click();
    return Boolean(box);
  }
  const edit = key === "e" && here?.querySelector("a[data-edit], a[href*='/edit']");
  if (edit) edit.click();
  return Boolean(edit);
}

// A live page: the server says that something changed, the page is fetched again and its live parts are swapped.
const live = document.querySelector("[data-live]");
if (live && window.EventSource) {
  let shown = null;
  let busy = false;
  let again = false;
  const events = new EventSource(live.dataset.live);
  const swap = async () => {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (answer.ok) put(new DOMParser().parseFromString(await answer.text(), "text/html"));
      else if (answer.status === 429) setTimeout(swap, 5000);
    } catch {
      // The next change, or the next connection, tries again.
    }
    busy = false;
    if (again) {
      again = false;
      setTimeout(swap, 300);
    }
  };
  events.addEventListener("changed", (event) => {
    if (shown !== null && event.data !== shown) swap();
    shown = event.data;
  });
  addEventListener("pagehide", () => events.close());
}

// A fold is known by its summary, whatever numbers it has by now.
const foldName = (fold) => fold.querySelector("summary")?.textContent.replace(/\d+/g, "").trim() ?? "";

function put(fresh) {
  for (const part of document.querySelectorAll("[data-part]")) {
    const other = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
    // What somebody is typing is not taken from under them.
    if (!other || other.innerHTML === part.innerHTML || part.querySelector("form[data-typed]")) continue;
    const at = part.contains(document.activeElement) ? document.activeElement.id : "";
    const open = new Set([...part.querySelectorAll("details[open]")].map(foldName));
    part.innerHTML = other.innerHTML;
    for (const fold of part.querySelectorAll("details")) fold.open ||= open.has(foldName(fold));
    if (at) document.getElementById(at)?.focus();
  }
  // What changed is said once and politely, in the words of the page itself.
  const said = document.getElementById("live");
  const told = document.querySelector("[data-said]");
  if (said && told) said.textContent = told.textContent;
}
