// The service worker's own part: it steps in only where the site cannot be reached. It keeps one page and one script, never a page with a code.
(() => {
  const { keep, flush } = self.hailong, SHELF = SCRIPT;

  // Not at the first page: that is to be light. Until then a sentence has to do.
  const shelve = async () => {
    const shelf = await caches.open(SHELF);
    if ((await shelf.keys()).length < 2) await shelf.addAll([PAGE, SCRIPT].map(address => new Request(address, { referrerPolicy: "no-referrer" })));
  };
  const shelved = async kept =>
    (await caches.match(PAGE)) || new Response(kept ? KEPT : NONE, { headers: { "Content-Type": "text/plain; charset=utf-8" } });

  self.addEventListener("install", event => event.waitUntil(self.skipWaiting()));
  self.addEventListener("activate", event => {
    const old = caches.keys().then(names => Promise.all(names.filter(name => name !== SHELF).map(name => caches.delete(name))));
    event.waitUntil(old.then(() => self.clients.claim()));
  });
  const send = async () => {
    const sent = await flush();
    if (sent) for (const page of await self.clients.matchAll()) page.postMessage(sent);
  };
  self.addEventListener("sync", event => event.waitUntil(send()));

  const visit = async request => {
    const filled = request.method === "POST" ? request.clone() : null;
    try {
      return await fetch(request);
    } catch {
      if (!filled) return shelved(false);
      const form = await filled.formData().catch(() => []);
      const kept = await keep(new URL(filled.url).pathname, [...form]).catch(() => false);
      return (await caches.match(PAGE)) ? Response.redirect(PAGE, 303) : shelved(kept);
    }
  };

  self.addEventListener("fetch", event => {
    const { mode, url } = event.request;
    if (mode === "navigate") {
      const answer = visit(event.request);
      event.respondWith(answer);
      event.waitUntil(answer.then(send).then(shelve).catch(() => 0)); // without a connection, at the next page
    } else if (url === new URL(SCRIPT, location).href) event.respondWith(caches.match(SCRIPT).then(kept => kept || fetch(event.request)));
  });
})();
