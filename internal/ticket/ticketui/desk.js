// The workspace made quick: tabs, ticking and dragging rows, small forms beside what they change.
(() => {
'use strict';
const doc = document, $ = (s, r = doc) => r.querySelector(s), $$ = (s, r = doc) => [...r.querySelectorAll(s)];
const on = (t, f, o) => doc.addEventListener(t, f, o);
const ajax = (verb, url, more) => htmx.ajax(verb, url, { target: '#movebox', swap: 'innerHTML', ...more });

// Tabs: the server keeps them; the page says what it shows.
let open = 0, closed = 0;
function shown() {
  const id = +($('#tklive')?.dataset.presence.split(':')[1] || 0);
  if (!id || id == open || id == closed) return;
  closed = 0;
  ajax('POST', '/tabs', { target: '#tabs', swap: 'innerMorph', values: { ticket: id, left: open } });
  open = id;
}
on('htmx:after:swap', () => shown());
on('auxclick', e => { const t = e.button == 1 && e.target.closest?.('#tabs li'); if (t) { e.preventDefault(); $('button', t).click(); } });
on('mousedown', e => { if (e.button == 1 && e.target.closest?.('#tabs li')) e.preventDefault(); });
on('click', e => { // a tab that is closed while it is on the screen gives way to its neighbour
  const li = e.target.closest?.('#tabs li button')?.closest('li');
  if (!li) return;
  if (li.matches('.on')) { const to = $('a', li.nextElementSibling || li.previousElementSibling || doc.createElement('i')); closed = open; open = 0; setTimeout(() => to ? to.click() : (location.href = '/tickets' + location.search), 60); }
});
on('keydown', e => { // Alt and a digit: that tab; Alt W closes
  if (!e.altKey || e.ctrlKey || e.metaKey) return;
  const n = e.code.match(/^Digit([1-9])$/)?.[1], li = n ? $$('#tabs li')[n - 1] : e.code == 'KeyW' ? $('#tabs li.on') : null;
  if (li) { e.preventDefault(); $(n ? 'a' : 'button', li).click(); }
});

// Ticking rows: what is ticked stays so while the list is drawn anew.
const form = $('#bulkf'), picked = new Set();
let last = null;
function draw() {
  if (!form) return;
  $$('.queue .tick').forEach(t => { t.checked = picked.has(t.value); });
  const all = $('[name=all]', form).checked;
  form.classList.toggle('on', picked.size > 0);
  $('.queue').classList.toggle('picking', picked.size > 0);
  $('[data-picked]', form).textContent = all ? $('.qbar span')?.textContent || '' : picked.size;
  $$('[type=hidden]', form).forEach(x => x.remove());
  form.append(...[...picked].map(id => Object.assign(doc.createElement('input'), { type: 'hidden', name: 'id', value: id })));
}
function pick(t, to) { to ? picked.add(t.value) : picked.delete(t.value); }
if (form) {
  on('click', e => {
    const t = e.target.closest?.('.queue .tick');
    if (!t) return;
    const all = $$('.queue .tick'), i = all.indexOf(t), j = all.indexOf(last);
    if (e.shiftKey && j >= 0) for (const x of all.slice(Math.min(i, j), Math.max(i, j) + 1)) pick(x, t.checked);
    else pick(t, t.checked);
    last = t;
    draw();
  });
  on('change', e => { if (e.target.form == form) draw(); });
  form.addEventListener('reset', () => { picked.clear(); setTimeout(draw); });
  form.addEventListener('submit', e => { if (e.submitter?.hasAttribute('hx-get')) e.preventDefault(); });
  on('keydown', e => {
    if (e.key == 'Escape' && picked.size && !e.target.closest?.('dialog, [popover]')) return form.reset();
    if (e.ctrlKey || e.metaKey || e.altKey || e.target.closest?.('input:not([type=checkbox],[type=radio]), textarea, select, dialog, [popover]') || doc.body.dataset.keys == 'off') return;
    const row = $('.queue [data-cursor]') || e.target.closest?.('.rowbox') || $('.queue [aria-current]');
    const box = row?.closest('.rowbox');
    if (!box) return;
    if (e.key == 'x') { const t = $('.tick', box); pick(t, !t.checked); last = t; draw(); e.preventDefault(); e.stopImmediatePropagation(); }
    if (e.key == 'v') { $('.peek', box).click(); e.preventDefault(); e.stopImmediatePropagation(); }
  }, true);
  on('htmx:after:swap', e => { if (e.target?.closest?.('.queue') || e.target?.matches?.('main')) draw(); });
  draw(); // a browser may have kept ticks over a reload
}

// The filter panel shows what the list is narrowed by, also after another view was chosen beside it.
on('htmx:after:swap', () => {
  const now = $('#qkeep [data-fields]'), f = $('#qf');
  if (!now || !f || now.dataset.shown || f.contains(doc.activeElement)) return;
  now.dataset.shown = 1;
  const q = new URLSearchParams(now.dataset.fields);
  $$('#qfilter [name]:not([type=hidden]), #q-q').forEach(x => { if (!x.closest('#saveview')) x.value = q.get(x.name) || ''; });
});

// Dragging a row, or all that are ticked, onto a person or a department.
if (form && $('[name=kind]', form)) {
  let ids = [], drops;
  on('dragstart', e => {
    const box = e.target.closest?.('.rowbox');
    if (!box) return;
    const id = $('.tick', box).value;
    ids = picked.has(id) ? [...picked] : [id];
    e.dataTransfer.effectAllowed = 'move';
    e.dataTransfer.setData('text/plain', $('.no', box)?.textContent || id);
    if (!drops) { drops = doc.createElement('div'); drops.id = 'drops'; drops.className = 'card'; doc.body.append(drops); }
    if (!drops.firstChild) fetch('/ticket-bulks/targets', { headers: { 'HX-Request': 'true', Accept: 'text/html' } }).then(r => r.ok ? r.text() : '').then(t => { drops.innerHTML = t; }).catch(() => {});
    setTimeout(() => { drops.hidden = false; });
  });
  on('dragend', () => { if (drops) { drops.hidden = true; drops.replaceChildren(); } ids = []; });
  const at = e => ids.length && e.target.closest?.('#drops [data-drop]');
  on('dragover', e => { const t = at(e); $$('#drops .over').forEach(x => x != t && x.classList.remove('over')); if (t) { e.preventDefault(); t.classList.add('over'); } });
  on('drop', e => {
    const t = at(e);
    if (!t) return;
    e.preventDefault();
    ajax('GET', '/ticket-bulks/new?kind=assign&' + t.dataset.drop + ids.map(i => '&id=' + i).join(''));
  });
}

// A small form opens beside what it changes. The place is a rule of a sheet: styles in attributes are refused.
let near = null;
const place = new CSSStyleSheet();
doc.adoptedStyleSheets.push(place);
on('click', e => { const x = e.target.closest?.('.pen'); if (x) near = x.getBoundingClientRect(); else if (e.target.closest?.('[hx-target="#movebox"]')) near = null; });
on('htmx:after:swap', () => {
  const d = $('#movebox dialog.quick');
  if (!d || !near || innerWidth < 768) return;
  place.replaceSync(`.quick.near { margin: 0; left: ${Math.max(8, Math.min(near.left, innerWidth - d.offsetWidth - 12)) | 0}px; top: ${Math.max(8, Math.min(near.top, innerHeight - d.offsetHeight - 12)) | 0}px; }`);
  d.classList.add('near');
});
on('click', e => {
  let x;
  if ((x = e.target.closest?.('.peek')) && !e.ctrlKey && !e.metaKey) { e.preventDefault(); ajax('GET', x.getAttribute('href') + location.search); }
  if ((x = e.target.closest?.('[data-copy-link]'))) bihuan.copy(location.origin + x.dataset.copyLink);
  if ((x = e.target.closest?.('[data-take]'))) { const f = x.form || x.closest('form'), i = f.elements[x.dataset.take]; if (i) { i.value = x.dataset.value; x.closest('tr').remove(); i.focus(); } }
});
addEventListener('load', shown);
if (doc.readyState == 'complete') shown();
})();
