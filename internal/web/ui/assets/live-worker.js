// One event stream for all tabs: a browser opens only six connections to a plain-HTTP host.
let stream, state = 'off', delay = 1000, timer;
const ports = new Set();
const tell = m => ports.forEach(p => p.postMessage(m));
function open() {
  clearTimeout(timer);
  if (stream && stream.readyState < 2) return;
  stream = new EventSource('/live');
  stream.addEventListener('hello', () => {
    const again = state == 'lost';
    state = 'on'; delay = 1000;
    tell({ state, again });
  });
  stream.onmessage = e => tell({ list: JSON.parse(e.data) });
  stream.onerror = () => {
    if (state != 'lost') { state = 'lost'; tell({ state }); }
    if (stream.readyState == 2) { // refused: signed out, or the server is being replaced
      clearTimeout(timer);
      timer = setTimeout(open, delay * (1 + Math.random()));
      delay = Math.min(delay * 2, 30000);
    }
  };
}
onconnect = e => {
  const port = e.ports[0];
  port.onmessage = m => {
    if (m.data == 'bye') {
      ports.delete(port);
      if (!ports.size) { clearTimeout(timer); stream?.close(); stream = null; state = 'off'; }
      return;
    }
    ports.add(port);
    if (state == 'lost') delay = 1000;
    open();
    if (state != 'off') port.postMessage({ state });
  };
};
