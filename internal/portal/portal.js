// The customer's pages work without this: it only stops a second tap, and tells
// that a person, not a mail scanner, has the page before him.
(() => {
  const doc = document;
  doc.addEventListener('submit', e => {
    const f = e.target;
    if (!f.matches('[data-once]') || e.defaultPrevented) return;
    if (f.ariaBusy == 'true') { e.preventDefault(); return; }
    f.ariaBusy = 'true';
    setTimeout(() => { f.ariaBusy = null; }, 20000); // the network may have swallowed it
  });
  addEventListener('pageshow', e => { if (e.persisted) doc.querySelectorAll('[data-once]').forEach(f => { f.ariaBusy = null; }); });

  const at = doc.querySelector('[data-seen]')?.dataset.seen;
  if (!at) return;
  let told = false, timer;
  const tell = () => {
    if (told || doc.hidden) return;
    told = true;
    clearTimeout(timer);
    fetch(at, { method: 'POST', keepalive: true, credentials: 'same-origin' }).catch(() => {});
  };
  const look = () => { clearTimeout(timer); if (!doc.hidden && !told) timer = setTimeout(tell, 5000); };
  for (const k of ['pointerdown', 'keydown', 'touchstart', 'wheel']) addEventListener(k, tell, { passive: true, once: false });
  doc.addEventListener('visibilitychange', look);
  look();
})();
