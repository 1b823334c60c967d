"use strict";
// What cannot be sent now is kept on this phone, as its form was filled in, and sent later by itself.
// The same file serves the pages and, with sw.js behind it, the service worker. Nothing is kept but unsent forms, for a week at most.
(() => {
  const WEEK = 7 * 864e5;

  const store = async (mode, ask) => {
    const db = await new Promise((done, fail) => {
      const opening = indexedDB.open("hailong", 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore("kept", { keyPath: "key" });
      opening.onsuccess = () => done(opening.result);
      opening.onerror = () => fail(opening.error);
    });
    try {
      return await new Promise((done, fail) => {
        const turn = db.transaction("kept", mode), asked = ask(turn.objectStore("kept"));
        turn.oncomplete = () => done(asked.result);
        turn.onabort = turn.onerror = () => fail(turn.error);
      });
    } finally {
      db.close();
    }
  };
  const all = () => store("readonly", kept => kept.getAll());
  const put = one => store("readwrite", kept => kept.put(one));
  const remove = key => store("readwrite", kept => kept.delete(key));

  // A form asks to be kept by its field "at": for how many seconds the site takes it. What is sent in that field is how many seconds ago it
  // was filled in. No moments: a phone's clock may be months off.
  const keep = async (action, fields) => {
    const form = new Map(fields), ours = ["form", "at", "website", "finish"];
    if (form.has("turn") || !form.has("at") || !form.get("form") || !fields.some(([name, value]) => !ours.includes(name) && value)) return false;
    const since = Date.now(), until = since + Math.min(1e3 * form.get("at") || WEEK, WEEK);
    await put({ key: form.get("form"), action, since, until, fields: fields.filter(([name]) => name !== "at") });
    const worker = self.registration || (navigator.serviceWorker && (await navigator.serviceWorker.getRegistration()));
    if (worker && worker.sync) await worker.sync.register("kept").catch(() => 0); // not allowed here: sent at the next page instead
    return true;
  };

  // One at a time over all tabs and the worker. A form without fields was refused; it waits only to be told of.
  const flush = () => (navigator.locks ? navigator.locks.request("kept", send) : send());
  const send = async () => {
    let sent = "";
    for (const one of await all()) {
      if (!one.fields) continue;
      let status = 410, answer;
      if (Date.now() < one.until) {
        try {
          const at = ["at", Math.max(0, Math.round((Date.now() - one.since) / 1e3))];
          answer = await fetch(one.action, { method: "POST", body: new URLSearchParams([...one.fields, at]), credentials: "omit", referrerPolicy: "no-referrer" });
          status = answer.status;
        } catch {
          break; // still no connection
        }
      }
      if (status === 429 || status >= 500) break;
      if (status < 400) {
        sent = answer.url;
        await remove(one.key);
      } else await put({ key: one.key });
    }
    return sent;
  };

  if (!self.document) {
    self.hailong = { keep, flush };
    return;
  }

  const box = document.querySelectorAll("[data-kept]"), form = document.querySelector("form[data-keeps]");
  let waiting = !form && box.length > 1; // the page for when there is no connection
  const say = name => {
    for (const line of document.querySelectorAll("[data-say]")) line.hidden = !line.dataset.say.split(" ").includes(name);
    for (const one of box) one.hidden = !name;
    if (form) for (const button of document.querySelectorAll("#ask button,[form]")) button.disabled = name === "kept" && waiting;
  };
  const tell = async sent => {
    const kept = await all(), refused = kept.filter(one => !one.fields);
    for (const one of refused) await remove(one.key);
    if (kept.length > refused.length) return say("kept");
    if (sent && waiting) return location.replace(sent);
    if (refused.length || sent || waiting) say(refused.length ? "refused" : sent ? "sent" : "none");
  };
  const look = () => flush().then(tell, () => waiting && say("none"));

  document.addEventListener("submit", async event => {
    const filled = event.target;
    if (filled !== form || navigator.onLine) return; // without a connection that looks like one, the service worker keeps it
    event.preventDefault();
    const data = new FormData(form), pressed = event.submitter;
    if (pressed && pressed.name) data.append(pressed.name, pressed.value);
    waiting = await keep(form.getAttribute("action"), [...data]).catch(() => false);
    say(waiting ? "kept" : "none");
    box[0].focus();
  });
  for (const button of document.querySelectorAll("[data-drop]"))
    button.addEventListener("click", async () => {
      for (const one of await all()) await remove(one.key);
      waiting = false;
      say("dropped");
    });
  addEventListener("online", look);
  setInterval(() => waiting && look(), 15e3);
  if (navigator.serviceWorker) navigator.serviceWorker.onmessage = event => tell(event.data); // the worker sent something
  if (form && navigator.serviceWorker) navigator.serviceWorker.register("/sw.js");
  look();
})();
