// Package browser tests what only a browser can show: pages that anybody can
// read and operate, on a phone and in the dark, and the few paths where script
// matters. It drives a real Chromium (BIHUAN_TEST_CHROMIUM) against the product
// on loopback. It has no code of its own.
package browser
