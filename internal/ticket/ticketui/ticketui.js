// The workspace beyond the shared script: rows, the newest line in sight, mentions, the form of a new ticket.
(() => {
'use strict';
const doc = document, $ = (s, r = doc) => r.querySelector(s), $$ = (s, r = doc) => [...r.querySelectorAll(s)];
const on = (t, f, o) => doc.addEventListener(t, f, o);
const el = (tag, props = {}, ...kids) => { const e = Object.assign(doc.createElement(tag), props); e.append(...kids); return e; };

// The row of the open ticket is lit at once; going on follows the rows as they stand.
function light(row) { $$('.queue .row[aria-current]').forEach(r => r.removeAttribute('aria-current')); row?.setAttribute('aria-current', 'true'); row?.scrollIntoView({ block: 'nearest' }); }
async function step(by) { // also over the end of what is loaded, and from a ticket whose row is elsewhere
  const rows = $$('.queue .row'), i = rows.findIndex(r => r.matches('[aria-current]'));
  let next = i < 0 ? null : rows[i + by];
  if (i >= 0 && !next && by > 0) {
    const more = $('#more a');
    if (!more) return;
    more.click();
    for (let n = 0; n < 100 && !next; n++) { await new Promise(r => setTimeout(r, 50)); next = $$('.queue .row')[i + 1]; }
  }
  if (!next && i < 0) {
    const n = location.pathname.match(/^\/tickets\/([^/]+)$/);
    if (!n) return rows[by > 0 ? 0 : rows.length - 1]?.click();
    const r = await fetch('/tickets/' + n[1] + '/beside' + location.search, { headers: { Accept: 'application/json' } }).then(r => r.ok ? r.json() : {}).catch(() => ({}));
    const to = by > 0 ? r.next : r.prev;
    if (to) location.href = to;
    return;
  }
  next?.click();
}
on('click', e => {
  const hit = s => e.target.closest?.(s);
  let x;
  if ((x = hit('.queue .row')) && !e.ctrlKey && !e.metaKey) light(x);
  if ((x = hit('[data-step]')) && (x.tagName != 'A' || $('.queue .row[aria-current]'))) { e.preventDefault(); step(+x.dataset.step); }
  if ((x = hit('.views .view')) && !e.ctrlKey && !e.metaKey) $$('.views .view').forEach(v => v == x ? v.setAttribute('aria-current', 'true') : v.removeAttribute('aria-current'));
  if ((x = hit('[data-remove]'))) { const f = x.form; x.closest('li').remove(); f?.dispatchEvent(new Event('input', { bubbles: true })); }
  if ((x = hit('[data-write]')) && !(e.detail == 0 && doc.activeElement == x)) write(x);
  if ((x = hit('[data-put]'))) put2reply(x);
  if ((x = hit('[data-use]'))) { e.preventDefault(); use(x.dataset.use, x.dataset.useName); }
});
function write(radio) { const t = $('.for-' + radio.value, radio.form); if (t) { t.focus({ preventScroll: true }); t.setSelectionRange(t.value.length, t.value.length); } }
function put2reply(b) { // behind what is written already
  const form = b.closest('form'), radio = $('[name=kind][value=reply]', form), t = $('.for-reply', form);
  if (!t) return;
  if (radio && !radio.checked) radio.click();
  if (!t.value.includes(b.dataset.put)) t.setRangeText((t.value && !t.value.endsWith('\n') ? '\n' : '') + b.dataset.put, t.value.length, t.value.length, 'end');
  t.dispatchEvent(new Event('input', { bubbles: true }));
  t.focus();
}
on('keydown', e => { // in a list the arrows move as J and K do
  if ((e.key == 'ArrowDown' || e.key == 'ArrowUp') && e.target.matches?.('.queue .row')) {
    const rows = $$('.queue .row'), n = rows[rows.indexOf(e.target) + (e.key == 'ArrowDown' ? 1 : -1)];
    if (n) { e.preventDefault(); n.focus(); }
  }
});

// Whoever reads the newest line goes on reading the newest line.
let stick = true;
const bottom = () => { const t = $('#timeline'); return !t || t.scrollHeight - t.scrollTop - t.clientHeight < 60; };
on('htmx:before:swap', () => { stick = bottom(); });
on('htmx:after:swap', e => {
  const t = $('#timeline');
  if (t && stick && !e.target.closest?.('.earlier') && doc.activeElement?.closest?.('.earlier') == null) t.scrollTop = t.scrollHeight;
});
on('ticket:written', () => { // what was sent stands in the thread by now: it is in sight, and the next word can be typed
  stick = true;
  const t = $('#timeline'), r = $('.composer [data-write]:checked');
  if (t) t.scrollTop = t.scrollHeight;
  if (r && (!doc.activeElement || doc.activeElement == doc.body)) write(r);
});
function entry() { // the entry an address leads to is in sight, and marked
  const n = location.hash.match(/^#e(\d+)$/)?.[1] || new URLSearchParams(location.search).get('entry'), at = n && doc.getElementById('e' + n);
  if (at) { at.scrollIntoView({ block: 'center' }); at.classList.add('meant'); }
  else if (location.hash.match(/^#e\d+$/)) location.href = location.pathname + '?entry=' + n + '#e' + n; // it is older than what is shown
}
addEventListener('hashchange', entry);
addEventListener('load', () => { entry(); $('.views [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' }); $('.queue .row[aria-current]')?.scrollIntoView({ block: 'nearest' }); });

// Mentions: @ and the beginning of a name, or its pinyin initials, in a note.
let list, area, from = -1, asked = 0, at = 0;
function shut() { list?.remove(); list = null; from = -1; }
on('input', e => {
  const t = e.target;
  if (!t.matches?.('[data-mention]') || e.isComposing) return;
  const before = t.value.slice(0, t.selectionStart), m = before.match(/[@＠]([^\s@＠，。,]{0,12})$/);
  if (!m) return shut();
  area = t; from = before.length - m[1].length;
  const n = ++asked;
  fetch(t.dataset.mention + '?q=' + encodeURIComponent(m[1]), { headers: { Accept: 'application/json' } }).then(r => r.ok ? r.json() : []).then(found => {
    if (n != asked || from < 0) return;
    list?.remove(); list = null;
    if (!found.length) return;
    at = 0;
    list = el('ul', { className: 'mentions', role: 'listbox' }, ...found.map((p, i) => {
      const li = el('li', { role: 'option' }, el('span', { textContent: p.label }), el('small', { textContent: p.note }));
      li.setAttribute('aria-selected', i == 0);
      li.onmousedown = ev => { ev.preventDefault(); put(p.label); };
      li._name = p.label;
      return li;
    }));
    t.closest('.box').prepend(list);
  }).catch(() => {});
});
function put(name) {
  const end = area.selectionStart;
  area.setRangeText(name + ' ', from, end, 'end');
  shut();
  area.dispatchEvent(new Event('input', { bubbles: true }));
}
on('keydown', e => {
  if (!list || e.target != area || e.isComposing) return;
  const lis = [...list.children];
  if (e.key == 'ArrowDown' || e.key == 'ArrowUp') { at = (at + (e.key == 'ArrowDown' ? 1 : lis.length - 1)) % lis.length; lis.forEach((li, i) => li.setAttribute('aria-selected', i == at)); }
  else if ((e.key == 'Enter' || e.key == 'Tab') && !e.ctrlKey) put(lis[at]._name);
  else if (e.key == 'Escape') shut();
  else return;
  e.preventDefault(); e.stopImmediatePropagation();
}, true);
on('focusout', e => { if (e.target == area) shut(); });

// Texts under a short code, and knowledge articles behind "??": "/" and its code, title or pinyin initials open the list; so does the button. It is fetched when asked for.
// An input method in Chinese mode makes "、" of the same key: at the start of a line it means the same.
let texts, ta, from_, slash = -1, choice = 0, quiet = -1, quietQ = '', looked = 0, waiting;
const startOf = t => {
  const before = t.value.slice(0, t.selectionStart), a = t.form.dataset.articles && before.match(/[?？]{2}([^\s?？，。!！]{0,30})$/);
  if (a) return { at: before.length - a[0].length, q: a[1], url: t.form.dataset.articles, articles: true };
  if (!t.form.dataset.canned) return null;
  const m = before.match(/(?:^|[\s\u3000])([\/／])([^\s\/／]{0,20})$/) || before.match(/(?:^|\n)(、)([^\s、，。]{0,20})$/);
  return m ? { at: before.length - m[2].length - 1, q: m[2], url: t.form.dataset.canned } : null;
};
function hide() { texts?.remove(); texts = null; slash = -1; clearTimeout(waiting); if (ta) { ta.removeAttribute('aria-activedescendant'); ta.removeAttribute('aria-controls'); } }
on('input', e => {
  const t = e.target;
  if (!t.form || !t.matches('.composer textarea') || e.isComposing) return;
  const hit = startOf(t);
  if (!hit) { quiet = -1; return hide(); }
  if (hit.at == quiet && hit.q && hit.q.startsWith(quietQ)) return; // closed with Escape; a slash typed anew opens it again
  quiet = -1;
  ta = t; slash = hit.at; from_ = hit;
  const n = ++looked;
  clearTimeout(waiting);
  waiting = setTimeout(() => fetch(hit.url + '?q=' + encodeURIComponent(hit.q), { headers: { Accept: 'application/json' } }).then(r => r.ok ? r.json() : []).then(found => {
    if (n != looked || slash < 0 || !t.isConnected) return;
    const at = slash;
    hide(); slash = at;
    if (!found.length) return;
    choice = 0; from_ = hit;
    texts = el('ul', { className: 'mentions texts', role: 'listbox', id: 'texts', ariaLabel: $(hit.articles ? '[data-articles-open]' : '[data-canned-open]', t.form)?.ariaLabel || '' }, ...found.map((x, i) => {
      const li = el('li', { role: 'option', id: 'text' + i }, el('b', { textContent: x.title }), x.code ? el('code', { textContent: '/' + x.code }) : '', el('small', { textContent: x.note }), el('span', { className: 'clip mut', textContent: x.text }));
      li.setAttribute('aria-selected', i == 0);
      li.onmousedown = ev => { ev.preventDefault(); call(x); };
      li._x = x;
      return li;
    }));
    if (hit.articles) texts.append(el('li', { className: 'mut hint', role: 'presentation', textContent: $('[data-articles-open]', t.form)?.dataset.hint || '' }));
    t.closest('.box').prepend(texts);
    t.setAttribute('aria-controls', 'texts'); t.setAttribute('aria-activedescendant', 'text0');
  }).catch(() => {}), hit.q ? 120 : 0);
});
on('keydown', e => {
  if (!texts || e.target != ta || e.isComposing || e.keyCode == 229) return;
  const lis = $$('[role=option]', texts);
  if (e.key == 'ArrowDown' || e.key == 'ArrowUp') {
    choice = (choice + (e.key == 'ArrowDown' ? 1 : lis.length - 1)) % lis.length;
    lis.forEach((li, i) => li.setAttribute('aria-selected', i == choice));
    lis[choice].scrollIntoView({ block: 'nearest' });
    ta.setAttribute('aria-activedescendant', lis[choice].id);
  }
  else if ((e.key == 'Enter' || e.key == 'Tab') && !e.ctrlKey && !e.metaKey && !e.shiftKey) call(lis[choice]._x, e.altKey ? 'link' : '');
  else if (e.key == 'Escape') { quiet = slash; quietQ = startOf(ta)?.q || ''; hide(); }
  else return;
  e.preventDefault(); e.stopImmediatePropagation();
}, true);
on('focusout', e => { if (e.target == ta) hide(); });
// type puts text in place of what stands between from and to, so that the browser can undo it.
function type(t, text, from, to) {
  t.focus(); t.setSelectionRange(from, to);
  if (!doc.execCommand('insertText', false, text)) { t.setRangeText(text, from, to, 'end'); t.dispatchEvent(new Event('input', { bubbles: true })); }
}
async function call(x, as) {
  const t = ta, from = slash, to = t.selectionStart, f = t.form, url = from_.url, data = new FormData();
  hide();
  data.append('id', x.id);
  if (as) data.append('as', as);
  data.append('kind', f.elements.kind?.value || '');
  const note = $('[data-draft-status]', f);
  try {
    const r = await fetch(url, { method: 'POST', body: data, headers: { Accept: 'application/json' } });
    const a = await r.json();
    if (!r.ok) throw new Error(a.detail || a.title || '');
    quiet = from; quietQ = '';
    type(t, a.text, from, to);
    const gap = a.text.search(/_{3,}|【/);
    if (gap >= 0) { const len = a.text.slice(gap).match(/^(_+|【[^】]*】)/)[0].length; t.setSelectionRange(from + gap, from + gap + len); }
    const kind = f.elements.kind?.value, list = $(`.uploads[data-name="file_${kind}"]`, f);
    for (const file of a.files) {
      const drop = el('button', { type: 'button', textContent: '×', ariaLabel: file.name });
      drop.dataset.remove = '';
      list?.append(el('li', {}, el('span', { className: 'clip', textContent: file.name }), el('input', { type: 'hidden', name: list.dataset.name, value: file.id }), drop));
    }
    t.dispatchEvent(new Event('input', { bubbles: true }));
    if (note && a.missing) note.textContent = a.missing;
  } catch (err) { if (note && err.message) note.textContent = err.message; }
  quiet = -1;
}
on('click', e => { // an article beside the ticket goes into what is being written
  const b = e.target.closest?.('[data-article]'), f = b && $('.composer[data-articles]');
  if (!f) return;
  const t = $$('textarea', f).find(x => x.offsetParent && x.matches('[class^="for-"]'));
  if (!t) return;
  const at = t.selectionStart, gap = at && t.value[at - 1] != '\n' ? '\n' : '';
  if (gap) type(t, gap, at, t.selectionEnd);
  ta = t; slash = t.selectionStart; from_ = { url: f.dataset.articles };
  call({ id: b.dataset.article }, b.dataset.as);
});
on('click', e => {
  const b = e.target.closest?.('[data-canned-open], [data-articles-open]');
  if (!b) return;
  const f = b.form, t = $$('textarea', f).find(x => x.offsetParent && x.matches('[class^="for-"]'));
  if (!t) return;
  const at = t.selectionStart, before = t.value[at - 1];
  if (texts) return hide();
  quiet = -1;
  if (b.matches('[data-articles-open]')) return type(t, '??', at, t.selectionEnd);
  type(t, before && !/\s/.test(before) ? ' /' : '/', at, t.selectionEnd);
});

// Messages that can still be taken back count down; by the server's time.
const ahead = +doc.body.dataset.now ? +doc.body.dataset.now * 1000 - Date.now() : 0;
setInterval(() => {
  for (const m of $$('[data-outgoing]')) {
    const left = Math.round((m.dataset.outgoing - Date.now() - ahead) / 1000), t = $('[data-left]', m);
    if (left > 0) t.textContent = t.dataset.left.replace('{0}', left);
    else if (left > -4) { t.textContent = t.dataset.gone; $$('form', m).forEach(f => { f.hidden = true; }); }
    else m.remove();
  }
}, 250);
on('ticket:taken-back', () => setTimeout(() => { const r = $('.composer [data-write]:checked'); if (r) write(r); }, 50));

// A new ticket: the customer chosen, or typed.
const form = $('.newform');
if (form) {
  const who = v => { const r = $(`[name=who][value=${v}]`, form); if (r) { r.checked = true; r.dispatchEvent(new Event('change', { bubbles: true })); } };
  form.addEventListener('change', e => { if (e.target.name == 'customer') $('#known')?.dispatchEvent(new CustomEvent('ticket:customer', { bubbles: true })); });
  form.addEventListener('keydown', e => {
    if (!e.altKey || e.ctrlKey) return;
    const k = e.code;
    if (k == 'KeyN') {
      e.preventDefault();
      const typed = $('[name=customer_text]', form)?.value.trim() || '', chosen = $('[name=customer]', form)?.value;
      who('new');
      const phone = /^[\d+\-\s()]{7,}$/.test(typed), to = $(phone ? '[name="contacts.0.phone"]' : '[name=name]', form);
      if (typed && !chosen && to && !to.value) to.value = typed;
      const first = $('[name=name]', form);
      (first.value ? $('[name="contacts.0.name"]', form) : first).focus();
    }
    if (k == 'KeyE') { e.preventDefault(); who('known'); $('[name=customer_text]', form)?.focus(); }
  });
  window.addEventListener('load', () => { if ($('.field [aria-invalid]', form)) $('.field [aria-invalid]', form).focus(); });
}
function use(id, name) {
  const hidden = $('[name=customer]', form), text = $('[name=customer_text]', form);
  if (!hidden) return;
  const r = $('[name=who][value=known]', form);
  r.checked = true; r.dispatchEvent(new Event('change', { bubbles: true }));
  hidden.disabled = text.disabled = false;
  hidden.value = id; text.value = name;
  hidden.dispatchEvent(new Event('change', { bubbles: true }));
  $('#matches').replaceChildren();
  $('[name=title]', form)?.focus();
}
})();
