// Package ui is the look of the product: the parts every screen is made of, the
// frame around them, and the way a room turns a typed view into a page.
//
// A room writes a template with its fragments in {{define}} blocks and renders
// it through a [Page]. Everything is embedded; browsers get assets under names
// that contain their hash. What always holds: no text stands in a template
// outside of the locale files, no inline script or style reaches a browser, and
// a page works before its script has loaded.
//
// Texts that depend on the moment or on the time zone ("3 分钟前") are written
// into the page as marks between two private characters and replaced when the
// page is sent, so that templates need neither a clock nor a zone.
package ui
