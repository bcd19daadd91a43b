// What the pages do by themselves where JavaScript runs. Every page works without it: this only saves a reload, a
// second press and some ticking of boxes.
"use strict";

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
  const ticked = form.querySelectorAll(`input[name="${told.dataset.count}"]:checked`).length;
  told.textContent = ticked === 0 ? "Nothing is ticked." : `${ticked} ticked.`;
}
for (const form of document.forms) count(form);

// A file is read here and sent as text, so that it needs no other way of sending.
document.addEventListener("change", async (event) => {
  const chosen = event.target.matches("input[data-into]") && event.target.files[0];
  if (!chosen) return;
  const into = document.getElementById(event.target.dataset.into);
  const told = document.getElementById(event.target.dataset.told);
  try {
    into.value = new TextDecoder("utf-8", { fatal: true }).decode(await chosen.arrayBuffer());
    told.textContent = `${chosen.name} is read. Check it below, then import it.`;
  } catch {
    into.value = "";
    told.textContent = `${chosen.name} is not UTF-8, so nothing was read. Save it as UTF-8 and choose it again.`;
  }
});

document.addEventListener("click", (event) => {
  if (event.target.matches("[data-print]")) window.print();
});

// What can only be chosen where this runs is shown where this runs.
for (const part of document.querySelectorAll("[data-js]")) part.hidden = false;

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

function put(fresh) {
  for (const part of document.querySelectorAll("[data-part]")) {
    const other = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
    if (!other || other.innerHTML === part.innerHTML) continue;
    const at = part.contains(document.activeElement) ? document.activeElement.id : "";
    part.innerHTML = other.innerHTML;
    if (at) document.getElementById(at)?.focus();
  }
}
