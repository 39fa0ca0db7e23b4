// Shows messages that arrive while the product is not open. It keeps nothing and
// answers no requests of pages.
self.addEventListener('push', e => {
  let d = {};
  try { d = e.data.json(); } catch { return; }
  e.waitUntil(self.registration.showNotification(d.title || '', { body: d.body || '', tag: d.tag, renotify: !!d.urgent && !!d.tag, requireInteraction: !!d.urgent, lang: d.lang, data: { url: d.url || '/notifications' } }));
});
self.addEventListener('notificationclick', e => {
  e.notification.close();
  const url = new URL(e.notification.data?.url || '/notifications', self.location.origin);
  if (url.origin != self.location.origin) return;
  e.waitUntil((async () => {
    const open = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
    for (const c of open) {
      if (new URL(c.url).pathname == url.pathname) return c.focus();
    }
    return self.clients.openWindow(url.href);
  })());
});
