// The desk: a ticket, or all that are ticked, dragged onto a person asks for the reason to give it to him.
(() => {
'use strict';
const doc = document, $ = (s, r = doc) => r.querySelector(s), $$ = (s, r = doc) => [...r.querySelectorAll(s)];
const on = (t, f) => doc.addEventListener(t, f);
let held = [];
const over = li => { $$('.mates .over').forEach(x => x != li && x.classList.remove('over')); li?.classList.add('over'); };
on('dragstart', e => {
  const li = e.target.closest?.('[data-ticket]');
  if (!li) return;
  const ticked = $$('#desk input[name=ticket]:checked').map(c => c.value);
  held = ticked.includes(li.dataset.ticket) ? [...new Set(ticked)] : [li.dataset.ticket];
  e.dataTransfer.effectAllowed = 'move';
  e.dataTransfer.setData('text/plain', held.join(','));
  doc.body.classList.add('dragging');
});
on('dragover', e => {
  const li = held.length && e.target.closest?.('[data-drop]');
  over(li || null);
  if (li) { e.preventDefault(); e.dataTransfer.dropEffect = 'move'; }
});
on('drop', e => {
  const li = held.length && e.target.closest?.('[data-drop]'), form = $('#give');
  if (!li || !form) return;
  e.preventDefault();
  const box = $('.dragged', form), to = $('[name=to]', form), ticked = $$('#desk input[name=ticket]:checked');
  ticked.forEach(c => { c.checked = false; }); // only what was dragged goes
  box.replaceChildren(...held.map(id => Object.assign(doc.createElement('input'), { type: 'hidden', name: 'ticket', value: id })));
  to.value = li.dataset.drop;
  form.requestSubmit();
  setTimeout(() => { box.replaceChildren(); to.value = ''; ticked.forEach(c => { c.checked = true; }); }, 0);
});
const count = () => { // what is ticked can be given as a whole
  const bar = $('#give'), n = $$('#desk input[name=ticket]:checked').length;
  if (!bar) return;
  bar.classList.toggle('idle', !n);
  $('[data-checked]', bar).textContent = n;
};
on('change', e => { if (e.target.matches?.('#desk input[name=ticket]')) count(); });
on('htmx:after:swap', () => setTimeout(count));
count();
on('dragend', () => { held = []; over(null); doc.body.classList.remove('dragging'); });
})();
