// Switching push on in this browser: the page works without, the button then says so.
const box = document.querySelector('[data-push]');
if (box) {
  const show = what => { for (const x of box.querySelectorAll('[data-push-when]')) x.hidden = x.dataset.pushWhen != what; };
  const bytes = s => Uint8Array.from(atob(s.replace(/-/g, '+').replace(/_/g, '/') + '='.repeat((4 - s.length % 4) % 4)), c => c.charCodeAt(0));
  const text = b => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  const key = box.dataset.push;
  const same = sub => sub.options?.applicationServerKey && text(sub.options.applicationServerKey) == key;
  const look = async () => {
    if (!('serviceWorker' in navigator) || !('PushManager' in window) || !('Notification' in window) || !isSecureContext) return show('cannot');
    if (Notification.permission == 'denied') return show('denied');
    const reg = await navigator.serviceWorker.getRegistration('/');
    const sub = await reg?.pushManager.getSubscription();
    show(sub && same(sub) && box.querySelector('[data-push-devices]') ? 'on' : 'off');
  };
  const turnOn = async () => {
    if (await Notification.requestPermission() != 'granted') return show('denied');
    const reg = await navigator.serviceWorker.register('/sw.js', { scope: '/' });
    await navigator.serviceWorker.ready;
    let sub = await reg.pushManager.getSubscription();
    if (sub && !same(sub)) { await sub.unsubscribe(); sub = null; }
    sub ??= await reg.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(key) });
    const r = await fetch('/account/notices/push', { method: 'POST', body: new URLSearchParams({ endpoint: sub.endpoint, p256dh: text(sub.getKey('p256dh')), auth: text(sub.getKey('auth')) }) });
    if (!r.ok) throw new Error(r.status);
    location.assign('/account/notices');
  };
  box.querySelector('[data-push-on]').addEventListener('click', () => turnOn().catch(e => { console.warn('push', e.message); show('failed'); }));
  look().catch(() => show('cannot'));
}
