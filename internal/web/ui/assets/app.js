// Behaviour by attributes; every page works without it. See the page of parts for each attribute.
(() => {
'use strict';
const doc = document, body = doc.body;
const $ = (s, r = doc) => r.querySelector(s), $$ = (s, r = doc) => [...r.querySelectorAll(s)];
const parse = (s, or) => { try { return JSON.parse(s); } catch { return or; } };
const words = parse(body.dataset.words, {});
const say = (k, ...a) => (words[k] ?? k).replace(/\{(\d)\}/g, (_, i) => a[i] ?? '');
const on = (type, f, opt) => doc.addEventListener(type, f, opt);
const el = (tag, props = {}, ...kids) => { const e = Object.assign(doc.createElement(tag), props); e.append(...kids); return e; };
const composing = e => e.isComposing || e.keyCode == 229;
const typingIn = t => t?.closest?.('input:not([type=checkbox],[type=radio],[type=button],[type=submit]),textarea,select,[contenteditable]');
const post = (url, data, keepalive) => fetch(url, { method: 'POST', body: data, credentials: 'same-origin', keepalive, headers: { Accept: 'application/json' } });

// Toasts
function toast(text, tone = '') {
  const t = el('div', { className: 'toast' }, el('p', { textContent: text }));
  t.dataset.t = tone; t.dataset.fade = tone == 'red' ? 12 : 5;
  $('#toasts')?.append(t);
}
const fading = new WeakSet();
function fade() {
  for (const t of $$('#toasts [data-fade]')) if (!fading.has(t)) { fading.add(t); setTimeout(() => t.remove(), (+t.dataset.fade || 7) * 1000); }
}
if ($('#toasts')) new MutationObserver(fade).observe($('#toasts'), { childList: true });

// Theme: the server reads the cookie, so the next page is right from its first paint.
function setTheme(t) { doc.documentElement.dataset.theme = t; }
function toggleTheme() {
  const now = doc.documentElement.dataset.theme || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
  const next = now == 'dark' ? 'light' : 'dark';
  doc.cookie = `theme=${next};path=/;max-age=31536000;samesite=lax`;
  setTheme(next);
  try { localStorage.theme = next; } catch {}
}
addEventListener('storage', e => { if (e.key == 'theme' && e.newValue) setTheme(e.newValue); });

// Clocks: the server sends the deadline, the browser ticks; by the server's time when this machine's is wrong.
let skew = (+body.dataset.now || 0) - Date.now() / 1000;
if (!+body.dataset.now || Math.abs(skew) < 20) skew = 0;
const serverNow = () => Date.now() / 1000 + skew;
const two = n => String(n).padStart(2, '0');
function tick(t) {
  if (!t.dataset.due) return;
  let s = t.dataset.due - Math.floor(serverNow());
  const over = s < 0;
  const state = over ? 'over' : s < t.dataset.total / 4 ? 'warn' : 'ok';
  s = Math.abs(s);
  const txt = s >= 86400 ? say('days', s / 86400 | 0, (s % 86400) / 3600 | 0) : `${two(s / 3600 | 0)}:${two((s / 60 | 0) % 60)}:${two(s % 60)}`;
  const full = (over ? say('over') + ' ' : '') + txt;
  if (t.textContent != full) t.textContent = full;
  if (t.className != state) t.className = state;
}
const timers = new Set();
customElements.define('sla-timer', class extends HTMLElement {
  connectedCallback() { timers.add(this); tick(this); }
  disconnectedCallback() { timers.delete(this); }
});
setInterval(() => { if (!doc.hidden) timers.forEach(tick); }, 1000);
setInterval(() => {
  if (doc.hidden) return;
  for (const t of $$('time[data-ago]')) {
    const m = (serverNow() - Date.parse(t.dateTime) / 1000) / 60;
    if (m >= 1 && m < 1440) t.textContent = m < 60 ? say('t_min', m | 0) : say('t_hour', m / 60 | 0);
  }
}, 30000);

// Input methods: what is being composed is not yet typed.
addEventListener('input', e => { if (e.isComposing) e.stopImmediatePropagation(); }, true);
on('compositionend', e => e.target.dispatchEvent(new Event('input', { bubbles: true })));

// Dialogs
function show(d) { if (!d) return; d.showModal ? d.open || d.showModal() : d.showPopover?.(); ($('[autofocus]', d) || $('input:not([type=hidden]),textarea,select', d))?.focus(); }
function ask(text, danger) {
  return new Promise(resolve => {
    const yes = el('button', { className: 'btn primary' + (danger ? ' danger' : ''), textContent: say('confirm') });
    const no = el('button', { className: 'btn', textContent: say('cancel') });
    const d = el('dialog', { className: 'dialog' }, el('div', {}, el('p', { className: 'pre', textContent: text }), el('hr'), el('p', { className: 'buttons' }, no, yes)));
    d.setAttribute('aria-label', text);
    let answer = false;
    yes.onclick = () => { answer = true; d.close(); };
    no.onclick = () => d.close();
    d.onclose = () => { d.remove(); resolve(answer); };
    body.append(d); d.showModal(); yes.focus();
  });
}
on('htmx:confirm', e => {
  const { ctx, issueRequest, dropRequest } = e.detail;
  if (!ctx.confirm || /^js:/.test(ctx.confirm)) return;
  e.preventDefault();
  ask(ctx.confirm, ctx.sourceElement.matches('.danger, form:has(.danger)')).then(yes => yes ? issueRequest() : dropRequest());
});

// Clicks
on('click', e => {
  const t = e.target, hit = s => t.closest?.(s);
  let x;
  if (hit('[data-theme-toggle]')) toggleTheme();
  if (hit('[data-help]')) help();
  if (hit('[data-palette-open]')) palette();
  if (hit('[data-print]')) print();
  if ((x = hit('[data-put]'))) { const to = $(x.dataset.putTo); if (to) { to.focus(); if (!doc.execCommand('insertText', false, x.dataset.put)) { to.setRangeText(x.dataset.put, to.selectionStart, to.selectionEnd, 'end'); to.dispatchEvent(new Event('input', { bubbles: true })); } } }
  if (hit('[data-dismiss]')) hit('.toast, .note-box')?.remove();
  if ((x = hit('[data-open]'))) { e.preventDefault(); show($(x.dataset.open)); }
  if ((x = hit('[data-close]'))) { e.preventDefault(); const d = x.dataset.close ? $(x.dataset.close) : hit('dialog, [popover]'); d?.close ? d.close() : d?.hidePopover(); }
  if (t.matches('dialog') && !t.querySelector('form') && outside(t, e)) t.close();
  if ((x = hit('[data-copy]'))) copy(x.dataset.copy || x.textContent);
  if (hit('.queue .row')) hit('.ws')?.classList.add('open');
  if (hit('.ws .back')) { e.preventDefault(); hit('.ws').classList.remove('open'); }
  if ((x = hit('.menu[popover] :is(a, button)')) && !x.matches('[popovertarget]')) x.closest('[popover]').hidePopover?.();
});
const outside = (d, e) => { const r = d.getBoundingClientRect(); return e.clientX < r.left || e.clientX > r.right || e.clientY < r.top || e.clientY > r.bottom; };
function copy(text) {
  const done = () => toast(say('copied'), 'green');
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(done, () => {});
  const a = el('textarea', { value: text, className: 'vh' }); // plain HTTP in the company's own network
  body.append(a); a.select(); doc.execCommand('copy'); a.remove(); done();
}

// Cards: what hovers over a name. data-card is the address of the fragment; a link to a customer has his card without
// saying so, but on his own page. A mouse that rests, the keyboard's focus or a
// long touch opens it; it stays while one points at it, and Escape closes it. It lies above the page and moves nothing.
const cards = new Map();
let card, carded, cardTimer, held;
const customerAt = x => x.matches('a:not(.btn)') && /^\/customers\/\d+$/.test(x.getAttribute('href')) && !(location.pathname + '/').startsWith(x.pathname + '/');
const cardOf = t => { const x = t?.closest?.('[data-card], a'); return x && (x.dataset.card || customerAt(x)) ? x : null; };
function cardSoon(x, wait) {
  clearTimeout(cardTimer);
  if (x != carded) cardTimer = setTimeout(openCard, wait, x);
}
function cardAway(wait = 220) { clearTimeout(cardTimer); cardTimer = setTimeout(closeCard, wait); }
function closeCard() {
  clearTimeout(cardTimer);
  carded?.removeAttribute('aria-describedby');
  carded = null;
  if (card?.matches(':popover-open')) card.hidePopover();
}
async function openCard(x) {
  const url = x.dataset.card || x.pathname + '/card', now = Date.now();
  let c = cards.get(url);
  if (!c || now - c.at > 30000) {
    const text = fetch(url, { credentials: 'same-origin', headers: { 'HX-Request': 'true', Accept: 'text/html' } }).then(r => r.ok && !r.redirected ? r.text() : '').catch(() => '');
    cards.set(url, c = { at: now, text });
    if (cards.size > 60) cards.delete(cards.keys().next().value);
  }
  carded = x;
  const html = await c.text;
  if (carded != x || !x.isConnected) return;
  if (!html) { carded = null; return; }
  if (!card) {
    card = el('div', { id: 'hovercard', className: 'card hovercard', popover: 'manual', role: 'tooltip' });
    card.onpointerenter = () => clearTimeout(cardTimer);
    card.onpointerleave = () => cardAway();
    body.append(card);
  }
  card.innerHTML = html; // our own fragment: its texts are escaped by the template
  card.showPopover();
  const r = x.getClientRects()[0] || x.getBoundingClientRect(), w = card.offsetWidth, h = card.offsetHeight;
  const below = r.bottom + 6 + h <= innerHeight || r.top < h;
  card.style.left = Math.max(8, Math.min(r.left, innerWidth - w - 8)) + 'px';
  card.style.top = Math.max(8, below ? Math.min(r.bottom + 6, innerHeight - h - 8) : r.top - 6 - h) + 'px';
  x.setAttribute('aria-describedby', 'hovercard');
}
on('pointerover', e => { const x = cardOf(e.target); if (x && e.pointerType == 'mouse') cardSoon(x, 450); });
on('pointerout', e => { const x = cardOf(e.target); if (x && e.pointerType == 'mouse' && cardOf(e.relatedTarget) != x) cardAway(); });
on('focusin', e => { const x = cardOf(e.target); if (x && x == e.target && x.matches(':focus-visible')) cardSoon(x, 600); else if (carded) cardAway(0); });
on('focusout', e => { if (e.target == carded || cardOf(e.target)) cardAway(0); });
on('pointerdown', e => {
  held = false;
  const x = cardOf(e.target);
  if (e.pointerType == 'mouse') { if (x) closeCard(); return; }
  if (carded && !card?.contains(e.target)) closeCard();
  if (x) { clearTimeout(cardTimer); cardTimer = setTimeout(() => { held = true; openCard(x); }, 500); }
});
for (const t of ['pointerup', 'pointercancel', 'pointermove']) on(t, e => { if (e.pointerType != 'mouse' && !held && cardTimer && (t != 'pointermove' || Math.abs(e.movementY) > 4)) clearTimeout(cardTimer); });
on('contextmenu', e => { if (held && cardOf(e.target)) e.preventDefault(); });
on('click', e => { if (held && cardOf(e.target)) { e.preventDefault(); e.stopPropagation(); held = false; } }, true);
on('keydown', e => { if (e.key == 'Escape' && carded) closeCard(); }, true);
addEventListener('scroll', () => carded && closeCard(), true);
on('htmx:after:swap', () => { if (carded && !carded.isConnected) closeCard(); });

// Keys
let afterG = 0;
on('keydown', e => {
  if (composing(e)) return;
  const k = e.key, mod = e.ctrlKey || e.metaKey;
  if (mod && k == 'Enter') {
    const f = e.target.form || e.target.closest?.('form');
    if (f) { e.preventDefault(); f.requestSubmit(f.querySelector('[type=submit]:not(:disabled)')); }
    return;
  }
  if (mod && k.toLowerCase() == 'k') { if ($('#palette')) { e.preventDefault(); palette(); } return; }
  if (mod || e.altKey) return;
  if (k == 'Escape' && typingIn(e.target)) { const c = e.target.form?.querySelector('[data-cancel]'); if (c) { e.preventDefault(); dirty.delete(e.target.form); c.click(); return; } }
  const stars = e.target.closest?.('.rating');
  if (stars && k >= '1' && k <= '5') { const r = $(`input[value="${k}"]`, stars); r.checked = true; r.focus(); r.dispatchEvent(new Event('change', { bubbles: true })); return; }
  if (typingIn(e.target) || e.target.closest?.('dialog, [popover]')) return;
  if (k == 'Enter' && e.target == body) { const c = $('[data-cursor]'); (c?.matches('a') ? c : c && $('a', c))?.click(); return; }
  if (body.dataset.keys == 'off') return;
  if (afterG && Date.now() - afterG < 1500) {
    afterG = 0;
    const go = entries().find(n => n.k && n.k.toLowerCase() == k.toLowerCase());
    if (go) { e.preventDefault(); location.href = go.h; return; }
  }
  if (k == 'g') { afterG = Date.now(); return; }
  if (k == '?') { e.preventDefault(); help(); return; }
  if (k == '/') { const s = $('main [type=search]'); if (s) { e.preventDefault(); s.focus(); s.select(); } return; }
  if (k == 'j' || k == 'k') { move(k == 'j' ? 1 : -1); return; }
  if (k.length == 1) { const b = $$(`[data-key="${CSS.escape(k.toLowerCase())}"]`).find(b => reachable(b) && !b.disabled); if (b) { e.preventDefault(); b.matches('input:not([type=radio], [type=checkbox]), textarea, select') ? b.focus() : b.click(); } }
});
// what is on the screen, or in a menu that could be opened there
const reachable = b => b.offsetParent || b.closest('.menu[popover]')?.parentElement?.offsetParent;
function move(step) {
  const list = $('[data-rows]');
  if (!list) return;
  const rows = [...list.children].flatMap(c => c.matches('tr, li, a, .item') ? [c] : [...c.querySelectorAll('tr, li, a.row, .item')]).filter(r => r.offsetParent);
  let i = rows.findIndex(r => r.matches('[data-cursor]'));
  if (i < 0) i = rows.findIndex(r => r.matches('[aria-current]'));
  i = Math.max(0, Math.min(rows.length - 1, i + step));
  rows.forEach((r, n) => n == i ? r.setAttribute('data-cursor', '') : r.removeAttribute('data-cursor'));
  rows[i]?.scrollIntoView({ block: 'nearest' });
}
function help() {
  const d = $('#keys');
  if (!d) return;
  const had = new Set(), row = (k, l) => had.has(k + l) || !had.add(k + l) ? '' : el('div', {}, el('dt', {}, el('kbd', { textContent: k })), el('dd', { textContent: l }));
  $('#page-keys').replaceChildren(el('dl', { className: 'keys' }, ...$$('[data-key]').filter(reachable).map(b => row(b.dataset.key.toUpperCase(), (b.title || b.ariaLabel || b.textContent).trim().replace(/ \([A-Z.]\)$/, ''))), ...$$('[data-keysay]').map(b => row(b.dataset.keysay, b.title))));
  show(d);
}
const entries = () => parse(body.dataset.palette, []) || [];
// The palette: what can be done on this page with its key, where one can go, and records found by number or words.
const doable = () => {
  const had = new Set();
  return $$('main [data-key], main .menu[popover] :is(a, button), [data-help], [data-theme-toggle], [data-print]').filter(b => (reachable(b) || b.matches('[data-help], [data-theme-toggle]')) && !b.disabled && !b.closest('.queue .rows, #tabs, dialog')).map(b => {
    const kbd = $('kbd', b)?.textContent || '', l = (b.title || b.ariaLabel || b.textContent.replace(kbd, '')).trim().replace(/ \([A-Z]\)$/, '');
    return { l, s: (b.dataset.key || kbd).toUpperCase(), run: () => b.matches('input:not([type=radio], [type=checkbox]), textarea, select') ? b.focus() : b.click() };
  }).filter(x => x.l && !had.has(x.l) && had.add(x.l));
};
function palette() {
  const d = $('#palette');
  if (!d) return;
  const input = $('input', d), list = $('ul', d), here = doable();
  const go = entries().map(n => ({ l: n.l, h: n.h, s: n.k && 'G ' + n.k.toUpperCase() }));
  let at = 0, found = [], records = [], asked = 0, timer;
  const fits = (n, q) => !q || q.split(/\s+/).every(w => n.l.toLowerCase().includes(w) || n.h?.includes(w));
  const run = n => { d.close(); if (n.run) n.run(); else if (n.h != location.pathname + location.search) location.href = n.h; };
  const draw = () => {
    const q = input.value.trim().toLowerCase(), first = /\d{3}/.test(q);
    found = [...here, ...go].filter(n => fits(n, q));
    found = first || !q ? [...records, ...found] : [...found, ...records];
    at = Math.max(0, Math.min(at, found.length - 1));
    list.replaceChildren(...found.map((n, i) => {
      const li = el('li', { role: 'option', id: 'p-' + i }, el('span', { className: 'clip', textContent: n.l }), n.n ? el('small', { textContent: n.n }) : '', n.s ? el('kbd', { textContent: n.s }) : '');
      li.setAttribute('aria-selected', i == at);
      li.onclick = () => run(n);
      return li;
    }));
    if (!found.length) { const li = el('li', { className: 'none', role: 'option', textContent: say('none') }); li.setAttribute('aria-disabled', true); list.append(li); }
    input.setAttribute('aria-activedescendant', found.length ? 'p-' + at : '');
    $('#p-' + at)?.scrollIntoView({ block: 'nearest' });
  };
  const look = () => {
    if (!body.dataset.jump) return;
    const n = ++asked, u = new URL(body.dataset.jump, location.href);
    u.searchParams.set('q', input.value.trim());
    fetch(u, { headers: { Accept: 'application/json' } }).then(r => r.ok ? r.json() : []).then(rs => { if (n == asked && d.open) { records = rs.map(r => ({ l: r.label, n: r.note, h: r.href })); draw(); } }).catch(() => {});
  };
  input.value = '';
  input.oninput = () => { at = 0; records = []; draw(); clearTimeout(timer); timer = setTimeout(look, 150); };
  input.onkeydown = e => {
    if (composing(e)) return;
    if (e.key == 'ArrowDown' || e.key == 'ArrowUp') { e.preventDefault(); at += e.key == 'ArrowDown' ? 1 : -1; draw(); }
    if (e.key == 'Escape') { e.preventDefault(); d.close(); } // a search field would only empty itself
    if (e.key == 'Enter' && found[at]) { e.preventDefault(); run(found[at]); }
  };
  draw(); show(d); look();
}

// Forms
const dirty = new Set();
const lively = f => f.isConnected && !f.closest('[hidden]');
on('input', e => {
  const f = e.target.form || e.target.closest?.('form');
  if (!f || e.target.closest('[data-pick]') && e.target.type == 'hidden') return;
  if (f.matches('[data-dirty]')) dirty.add(f);
  if (f.matches('[data-draft-url]')) { dirty.add(f); clearTimeout(f._draft); f._draft = setTimeout(draft, 2000, f); }
  if (e.target.matches('textarea')) beat(true);
});
async function draft(f) {
  clearTimeout(f._draft); f._draft = 0;
  const note = $('[data-draft-status]', f);
  try {
    const r = await post(f.dataset.draftUrl, fields(f), true);
    if (!r.ok) throw r;
    dirty.delete(f);
    if (note) note.textContent = say('saved');
  } catch { if (note) note.textContent = say('draft'); }
}
function fields(f) { const d = new FormData(f); for (const [k, v] of [...d]) if (v instanceof File) d.delete(k); return d; }
const flush = () => $$('form[data-draft-url]').forEach(f => f._draft && draft(f));
on('submit', async e => {
  const f = e.target;
  if (f._sending) { e.preventDefault(); e.stopImmediatePropagation(); toast(say('uploading', '')); return; }
  const by = e.submitter, text = by?.dataset.confirm || f.dataset.confirm;
  if (text && !f._sure) {
    e.preventDefault(); e.stopImmediatePropagation();
    if (await ask(text, by?.matches('.danger'))) { f._sure = true; f.requestSubmit(by); f._sure = false; }
    return;
  }
  clearTimeout(f._draft); f._draft = 0;
  dirty.delete(f);
}, true);
addEventListener('beforeunload', e => { for (const f of dirty) if (lively(f)) { if (f.matches('[data-dirty]')) e.preventDefault(); else draft(f); } });
addEventListener('pagehide', flush);
on('change', e => {
  const t = e.target;
  if (t.matches('[data-check-all]')) $$(`input[name="${CSS.escape(t.dataset.checkAll)}"]`, t.closest('form, table')).forEach(c => { c.checked = t.checked; });
  if (t.matches('[type=checkbox]')) counts(t.closest('form'));
  if (t.form?.matches('[data-auto]')) t.form.requestSubmit();
  if (t.form) when(t.form);
  if (t.matches('[type=file]') && t.files.length && zone(t)) { send(zone(t), [...t.files]); t.value = ''; }
});
function counts(f) {
  if (!f || f.matches('[data-own]')) return;
  const n = $$('tbody :checked, .rows :checked', f).length;
  $$('[data-bulk]', f).forEach(b => { b.hidden = !n; });
  $$('[data-checked]', f).forEach(b => { b.textContent = n; });
}
// data-when="kind=company,partner": shown, and sent, only while the field has one of the values.
function when(f) {
  for (const p of $$('[data-when]', f)) {
    const [name, values] = p.dataset.when.split('=');
    const now = new FormData(f).getAll(name);
    const yes = values.split(',').some(v => now.includes(v));
    p.hidden = !yes;
    $$('input, select, textarea', p).forEach(c => { c.disabled = !yes; });
  }
}

// Uploads: choose, drop or paste; each file goes at once, the form sends its id.
function zone(t) { return t.closest?.('[data-upload-url]') || t.closest?.('.drop')?.querySelector('[data-upload-url]'); }
on('paste', e => {
  const z = zone(e.target), files = [...(e.clipboardData?.files || [])];
  if (z && files.length) { e.preventDefault(); send(z, files); }
});
on('dragover', e => { const z = zone(e.target); if (z && e.dataTransfer.types.includes('Files')) { e.preventDefault(); (z.closest('.drop') || $('.box', z) || z).classList.add('over'); } });
on('dragleave', () => $$('.over').forEach(x => x.classList.remove('over')));
on('drop', e => {
  $$('.over').forEach(x => x.classList.remove('over'));
  const z = zone(e.target);
  if (z && e.dataTransfer.files.length) { e.preventDefault(); send(z, [...e.dataTransfer.files]); }
});
function send(z, files) {
  const form = z.form || z.closest('form') || z, box = z.closest('.drop') || z;
  const kind = form.elements.kind?.value; // a form with several texts keeps their files apart
  let list = $$('.uploads', box).find(l => !l.dataset.name || l.dataset.name == 'file_' + kind);
  if (!list) { list = el('ul', { className: 'uploads' }); ($('.box', box) || box).append(list); }
  for (let file of files) {
    if (file.name == 'image.png') file = new File([file], `image-${new Date().toISOString().slice(0, 19).replace(/\D/g, '')}.png`, { type: file.type });
    const bar = el('progress', { max: 1, value: 0 }), name = el('span', { className: 'clip', textContent: file.name });
    const drop = el('button', { type: 'button', textContent: '×', ariaLabel: say('remove', file.name) });
    const li = el('li', {}, name, bar, drop), x = new XMLHttpRequest(), data = new FormData();
    drop.onclick = () => { x.abort(); li.remove(); };
    bar.ariaLabel = say('uploading', file.name);
    list.append(li);
    form._sending = (form._sending || 0) + 1;
    data.append('file', file);
    x.open('POST', z.dataset.uploadUrl);
    x.setRequestHeader('Accept', 'application/json');
    x.upload.onprogress = p => { if (p.lengthComputable) bar.value = p.loaded / p.total; };
    x.onloadend = () => {
      form._sending--;
      const r = parse(x.responseText, {});
      bar.remove();
      if (x.status >= 200 && x.status < 300 && r.id) {
        li.append(el('input', { type: 'hidden', name: list.dataset.name || z.dataset.uploadName || 'file', value: r.id }));
        z.dispatchEvent(new Event('input', { bubbles: true }));
      } else if (li.isConnected) {
        li.classList.add('bad');
        toast(r.detail || say('upload_failed', file.name), 'red');
      }
    };
    x.send(data);
  }
}

// Pickers: a text field that looks for a record; data-pick is the address, which answers [{id, label, note}].
on('input', e => {
  const t = e.target, p = t.closest?.('[data-pick]');
  if (!p || t.type == 'hidden') return;
  $('input[type=hidden]', p).value = '';
  clearTimeout(p._t);
  p._t = setTimeout(async () => {
    p._n = (p._n || 0) + 1;
    const n = p._n, u = new URL(p.dataset.pick, location.href);
    u.searchParams.set('q', t.value.trim());
    const found = await fetch(u, { headers: { Accept: 'application/json' } }).then(r => r.ok ? r.json() : []).catch(() => []);
    if (n != p._n) return;
    const list = $('ul', p);
    list.replaceChildren(...(found || []).map((o, i) => {
      const li = el('li', { role: 'option', id: list.id + '-' + i }, el('span', { textContent: o.label }), el('small', { textContent: o.note || '' }));
      li.onmousedown = ev => { ev.preventDefault(); pick(p, o); };
      li._o = o;
      return li;
    }));
    if (!found.length) list.append(el('li', { className: 'none', textContent: say('no_match') }));
    choose(p, 0);
  }, 200);
});
function choose(p, i) {
  const list = $('ul', p), lis = $$('[role=option]', list), input = $('[role=combobox]', p);
  p._i = Math.max(0, Math.min(lis.length - 1, i));
  lis.forEach((li, n) => li.setAttribute('aria-selected', n == p._i));
  list.hidden = !list.children.length;
  input.setAttribute('aria-expanded', !list.hidden);
  input.setAttribute('aria-activedescendant', lis[p._i]?.id || '');
  lis[p._i]?.scrollIntoView({ block: 'nearest' });
}
function pick(p, o) {
  const hidden = $('input[type=hidden]', p), input = $('[role=combobox]', p);
  hidden.value = o.id; input.value = o.label;
  shut(p);
  hidden.dispatchEvent(new Event('change', { bubbles: true }));
}
function shut(p) { const l = $('ul', p); l.hidden = true; $('[role=combobox]', p).setAttribute('aria-expanded', false); }
on('keydown', e => {
  const p = e.target.closest?.('[data-pick]');
  if (!p || composing(e) || $('ul', p).hidden) return;
  if (e.key == 'ArrowDown' || e.key == 'ArrowUp') { e.preventDefault(); choose(p, p._i + (e.key == 'ArrowDown' ? 1 : -1)); }
  if (e.key == 'Enter') { e.preventDefault(); const o = $('[aria-selected=true]', p)?._o; if (o) pick(p, o); }
  if (e.key == 'Escape') { e.preventDefault(); shut(p); }
}, true);
on('focusout', e => { const p = e.target.closest?.('[data-pick]'); if (p) shut(p); });

// Live: small messages with ids; each element fetches itself again with the reader's own permission.
const unsaved = r => $$('textarea, input:not([type=hidden],[type=checkbox],[type=radio],[type=search],[type=file])', r).some(c => c.value != c.defaultValue);
function refresh(x, wait) {
  if (x._live) return;
  x._live = setTimeout(() => {
    x._live = 0; x._seen = Date.now();
    if (!x.isConnected) return;
    if (unsaved(x) || x.contains(doc.activeElement) && typingIn(doc.activeElement)) return refresh(x, 3000); // his text comes first
    x.dispatchEvent(new CustomEvent('live:refresh'));
  }, wait ?? Math.max(doc.hidden ? 3000 : 60 + Math.random() * 300, (x._seen || 0) + (+x.dataset.liveEvery || 0) - Date.now())); // not all browsers at once, and dear ones not too often
}
function heard(list) {
  const all = $$('[data-live]');
  for (const m of list) {
    if (m.t == 'resync') { all.forEach(x => refresh(x)); continue; }
    if (m.t == 'presence') presence(m);
    if (m.t == 'notification' && m.d?.text) toast(m.d.text);
    body.dispatchEvent(new CustomEvent('live:' + m.t, { detail: m }));
    for (const x of all) if (x.dataset.live.split(' ').some(w => w == m.t || (m.id ? w == m.t + ':' + m.id : w.startsWith(m.t + ':')))) refresh(x);
  }
}
let lostTimer;
function status(m) {
  body.dataset.live = m.state;
  const b = $('#offline');
  if (!b) return;
  clearTimeout(lostTimer);
  if (m.state == 'lost') lostTimer = setTimeout(() => { b.hidden = false; }, 3000);
  else { b.hidden = true; if (m.again) heard([{ t: 'resync' }]); }
}
const receive = m => { if (m.state) status(m); if (m.list) heard(m.list); };
let port;
function listen() {
  if (!body.dataset.liveWorker) return;
  try {
    const w = new SharedWorker(body.dataset.liveWorker, 'live');
    port = w.port;
    port.onmessage = e => receive(e.data);
    port.postMessage('hi');
  } catch { // no SharedWorker (Chrome on Android): one stream for this tab
    let was = '';
    const s = new EventSource('/live');
    s.addEventListener('hello', () => { receive({ state: 'on', again: was == 'lost' }); was = 'on'; });
    s.onmessage = e => receive({ list: JSON.parse(e.data) });
    s.onerror = () => { was = 'lost'; receive({ state: 'lost' }); if (s.readyState == 2) setTimeout(listen, 15000); };
  }
}
listen();
addEventListener('pagehide', () => { port?.postMessage('bye'); leave(); });
addEventListener('pageshow', e => { if (e.persisted) { port?.postMessage('hi'); heard([{ t: 'resync' }]); } });
on('visibilitychange', () => { if (!doc.hidden) { $$('[data-live]').forEach(x => { if (x._live) { clearTimeout(x._live); x._live = 0; refresh(x, 50); } }); beat(); timers.forEach(tick); } });
const isLive = ctx => ctx.sourceEvent?.type == 'live:refresh';
on('htmx:config:request', e => { if (isLive(e.detail.ctx)) e.detail.ctx.request.headers['HX-Live'] = 'true'; });
on('htmx:after:request', e => { // lists are morphed, whether the answer is the element itself or its inside
  const { ctx } = e.detail, x = ctx.sourceElement;
  if (!isLive(ctx) || x.hasAttribute('hx-swap') || ctx.response.status >= 400) return;
  const first = ctx.text?.match(/^\s*<[a-z][^>]*>/i)?.[0] || '';
  ctx.swap = x.id && first.includes(` id="${x.id}"`) ? 'outerMorph' : 'innerMorph';
});

// Presence: who looks at a ticket, who is typing there, whose page is open while he does something else.
let room = 0, typed = 0, beaten = 0, touched = Date.now(), idle = false;
const say2 = (id, more) => post('/live/presence', new URLSearchParams({ ticket: id, ...more }), true).catch(() => {});
function beat(typing) {
  const x = $('[data-presence]'), id = +(x?.dataset.presence.split(':')[1] || 0), now = Date.now(), was = idle;
  idle = now - touched > 120000;
  if (id != room) { if (room) say2(room, { gone: 1 }); room = id; beaten = typed = 0; }
  if (!id || doc.hidden) return;
  if (typing) { if (now - typed < 3000) return; typed = now; } else if (now - beaten < 19000 && idle == was) return;
  beaten = now;
  say2(id, typing ? { typing: 1 } : idle ? { idle: 1 } : {}).then(r => r?.ok ? r.json() : 0).then(d => { if (d && id == room) presence({ id, d }); }).catch(() => {});
}
for (const t of ['pointerdown', 'pointermove', 'keydown', 'wheel']) on(t, () => { touched = Date.now(); if (idle) beat(); }, { passive: true, capture: true });
function leave() { if (room) navigator.sendBeacon('/live/presence', new URLSearchParams({ ticket: room, gone: 1 })); room = 0; }
setInterval(beat, 20000);
function presence(m) {
  const others = (m.d || []).filter(w => w.id != body.dataset.me);
  const names = f => others.filter(f).map(w => w.name).join('、');
  const t = names(w => w.typing), v = names(() => true);
  $$(`[data-present="${+m.id}"]`).forEach(x => { x.textContent = t ? say('typing', t) : v ? say('viewing', v) : ''; });
  $$(`[data-here="${+m.id}"]`).forEach(x => x.replaceChildren(...others.slice(0, 5).map(w => {
    const text = say(w.typing ? 'typing' : w.idle ? 'idle' : 'viewing', w.name), c = el('span', { className: 'who' + (w.idle ? ' idle' : w.typing ? ' typing' : ''), textContent: w.name.slice(0, 1), title: text, role: 'img', ariaLabel: text });
    return c;
  })));
  seats.set(+m.id, m);
}
const seats = new Map(); // what was last heard, for a head that is drawn again

// Failures of requests the script sends
on('htmx:error', e => { if (!isLive(e.detail.ctx || {})) toast(say('failed'), 'red'); });
on('htmx:before:response', e => {
  const r = e.detail.ctx.response;
  if (r.status >= 500 && !r.headers.get('HX-Retarget')) { e.preventDefault(); toast(say('failed'), 'red'); } // a proxy's page is not ours to show
});
on('htmx:before:request', flush);

// Content that has just come
const seen = new WeakSet();
function fresh() {
  for (const x of $$(':is(.tabs, .views, .tktabs ul) [aria-current]')) if (!seen.has(x)) { seen.add(x); const t = x.closest('.tabs, .views, ul'); if (t.scrollWidth > t.clientWidth) t.scrollLeft += x.getBoundingClientRect().left - t.getBoundingClientRect().left - (t.clientWidth - x.offsetWidth) / 2; }
  for (const x of $$('[data-bottom]')) if (!seen.has(x)) { seen.add(x); x.scrollTop = x.scrollHeight; }
  for (const d of $$('dialog[data-open-now]')) if (!seen.has(d)) { seen.add(d); show(d); }
  for (const f of $$('form')) if (!seen.has(f)) { seen.add(f); when(f); counts(f); }
  for (const x of $$('[data-here]:empty')) { const m = seats.get(+x.dataset.here); if (m) presence(m); }
  beat(); fade();
}
on('htmx:after:swap', fresh);
fresh();
{ // what was typed into a picker before this script ran is looked for now
  const t = document.activeElement;
  if (t?.closest('[data-pick]') && t.value != t.defaultValue) t.dispatchEvent(new Event('input', { bubbles: true }));
}
window.bihuan = { toast, say, ask, show, copy };
})();
