// Before the first paint: the theme chosen on this device, when the server could not know it (an old cached page).
(function () {
  var m = /(?:^|; )theme=(dark|light)/.exec(document.cookie);
  if (m) document.documentElement.dataset.theme = m[1];
  document.documentElement.classList.add('js');
})();
