// Package canned is what people write again and again: texts under a short code
// (快捷回复, KNB-6), and several actions under one name (宏).
//
// What always holds: a person's own texts and macros are seen by nobody else, in
// no list, search or answer; a text is filled with what its reader may see, and
// sensitive values only masked; a macro does all of its steps or none, each under
// the rights of who runs it.
package canned
