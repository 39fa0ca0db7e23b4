// Writing an article: marks from the toolbar, pictures pasted, dropped or chosen.
(() => {
'use strict';
const doc = document, $ = (s, r = doc) => r.querySelector(s);
const area = () => $('[data-pictures]');
function put(t, text, from = t.selectionStart, to = t.selectionEnd) { // so that the browser can undo it
  t.focus(); t.setSelectionRange(from, to);
  if (!doc.execCommand('insertText', false, text)) { t.setRangeText(text, from, to, 'end'); t.dispatchEvent(new Event('input', { bubbles: true })); }
}
function wrap(t, a, b = a) {
  const from = t.selectionStart, to = t.selectionEnd, s = t.value.slice(from, to);
  if (s.startsWith(a) && s.endsWith(b) && s.length > a.length + b.length) { put(t, s.slice(a.length, s.length - b.length)); return; }
  put(t, a + s + b);
  t.setSelectionRange(from + a.length, from + a.length + s.length);
}
function lines(t, mark) { // before every line of the selection
  const from = t.value.lastIndexOf('\n', t.selectionStart - 1) + 1, end = t.value.indexOf('\n', t.selectionEnd), to = end < 0 ? t.value.length : end;
  let n = 0;
  put(t, t.value.slice(from, to).split('\n').map(l => mark(l, ++n)).join('\n'), from, to);
}
const does = {
  bold: t => wrap(t, '**'), italic: t => wrap(t, '*'),
  code: t => t.value.slice(t.selectionStart, t.selectionEnd).includes('\n') ? wrap(t, '```\n', '\n```') : wrap(t, '`'),
  h2: t => lines(t, l => l.startsWith('## ') ? l.slice(3) : '## ' + l), ul: t => lines(t, l => '- ' + l), ol: t => lines(t, (l, n) => n + '. ' + l), quote: t => lines(t, l => '> ' + l),
  table: (t, b) => put(t, (t.selectionStart && t.value[t.selectionStart - 1] != '\n' ? '\n\n' : '') + b.dataset.text.replaceAll('\\n', '\n')),
  link: (t, b) => { const s = t.value.slice(t.selectionStart, t.selectionEnd) || b.dataset.text, at = t.selectionStart; put(t, `[${s}](https://)`); t.setSelectionRange(at + s.length + 3, at + s.length + 11); },
  picture: (t, b) => $('[data-md-file]', b.parentElement).click(),
};
doc.addEventListener('click', e => {
  const b = e.target.closest?.('[data-md]'), t = area();
  if (b && t) does[b.dataset.md](t, b);
});
doc.addEventListener('keydown', e => {
  if (e.target != area() || !(e.ctrlKey || e.metaKey) || e.altKey || e.isComposing) return;
  const k = { b: 'bold', i: 'italic' }[e.key.toLowerCase()];
  if (k) { e.preventDefault(); does[k](e.target); }
});
async function send(t, file) {
  if (file.name == 'image.png') file = new File([file], `image-${new Date().toISOString().slice(0, 19).replace(/\D/g, '')}.png`, { type: file.type });
  const name = file.name.replace(/[\[\]()]/g, ''), hold = `![${name} …]()`;
  put(t, hold);
  const data = new FormData();
  data.append('file', file);
  let text = '';
  try {
    const r = await fetch(t.dataset.pictures, { method: 'POST', body: data, headers: { Accept: 'application/json' } }), a = await r.json();
    if (!r.ok) throw new Error(a.detail || a.title);
    text = (file.type.startsWith('image/') ? '!' : '') + `[${name}](/files/${a.id})`;
    t.form.append(Object.assign(doc.createElement('input'), { type: 'hidden', name: 'picture', value: a.id }));
  } catch (err) { text = err.message ? `[${err.message}]` : ''; }
  const at = t.value.indexOf(hold);
  if (at >= 0) put(t, text, at, at + hold.length); else put(t, text);
}
async function all(t, files) { for (const f of files) await send(t, f); }
doc.addEventListener('paste', e => {
  const fs = [...(e.clipboardData?.files || [])];
  if (e.target == area() && fs.length) { e.preventDefault(); e.stopImmediatePropagation(); all(e.target, fs); }
}, true);
doc.addEventListener('drop', e => {
  const fs = [...(e.dataTransfer?.files || [])];
  if (e.target == area() && fs.length) { e.preventDefault(); e.stopImmediatePropagation(); all(e.target, fs); }
}, true);
doc.addEventListener('change', e => { if (e.target.matches?.('[data-md-file]')) { all(area(), [...e.target.files]); e.target.value = ''; } });
})();
