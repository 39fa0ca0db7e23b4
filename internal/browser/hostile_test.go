package browser

import (
	"context"
	"encoding/base64"
	"fmt"
	"mime"
	"strings"
	"testing"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/mailbox"

	"github.com/chromedp/chromedp"
)

// evil is what strangers put into mails so that a script of theirs runs. %s is
// the script.
var evil = []string{
	`<script>%s</script>`, `<SCRIPT SRC=//evil.example/x.js></SCRIPT><script>%s</script>`, `<img src=x onerror="%s">`, `<svg onload="%s">`, `<svg><script>%s</script></svg>`, `<body onload="%s">`,
	`<iframe srcdoc="<script>%s</script>"></iframe>`, `<iframe src="javascript:%s"></iframe>`, `<a href="javascript:%s" autofocus onfocus="%[1]s">点</a>`, `<a href="java&#x09;script:%s">点</a>`, `<a href="data:text/html,<script>%s</script>">点</a>`,
	`<object data="javascript:%s"></object>`, `<embed src="javascript:%s">`, `<form action="javascript:%s"><button autofocus onfocus="%[1]s">x</button></form>`, `<input autofocus onfocus="%s">`, `<select autofocus onfocus="%s"></select>`,
	`<textarea autofocus onfocus="%s"></textarea>`, `<video><source onerror="%s"></video>`, `<audio src=x onerror="%s">`, `<details open ontoggle="%s">x</details>`, `<marquee onstart="%s">x</marquee>`, `<meta http-equiv="refresh" content="0;url=javascript:%s">`,
	`<base href="javascript:%s//">`, `<link rel=stylesheet href="javascript:%s">`, `<style>@import 'javascript:%s';</style>`, `<div style="background:url(javascript:%s)">x</div>`, `<div style="width:expression(%s)">x</div>`,
	`<math><mtext><table><mglyph><style><img src=x onerror="%s"></style></mglyph></table></mtext></math>`, `<noscript><p title="</noscript><img src=x onerror='%s'>"></noscript>`, `<template><script>%s</script></template>`, `<xmp><p title="</xmp><svg onload='%s'>"></xmp>`,
	`<!--><img src=x onerror="%s">-->`, `<![CDATA[><img src=x onerror="%s">]]>`, `<?xml version="1.0"?><script>%s</script>`, `"><script>%s</script>`, `'><img src=x onerror=%s>`, `</textarea><script>%s</script>`, `</title><script>%s</script>`,
	`</style><script>%s</script>`, `--!><script>%s</script>`, `<img src="x" oNeRrOr="%s">`, "<img\x00src=x onerror=\"%s\">", "<img/src=x/onerror=%s>", "<img src=x\tonerror\t=\t\"%s\">", `<a href=" javascript:%s">点</a>`, `<a href="vbscript:%s">点</a>`,
	`<img src="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='%s'/>">`, `<image src=x onerror="%s">`, `<isindex type=image src=1 onerror="%s">`, `<table background="javascript:%s"><td>x</td></table>`, `<frameset onload="%s"></frameset>`,
	`<div onmouseover="%s" style="position:fixed;inset:0">x</div>`, `<p onpointerenter="%s">x</p>`, `<img srcset="x" onerror="%s">`, `<picture><source srcset=x><img src=x onerror="%s"></picture>`, `<svg><animate onbegin="%s" attributeName=x dur=1s>`, `<svg><a xlink:href="javascript:%s"><text>x</text></a></svg>`,
	`<svg><use href="data:image/svg+xml,<svg id='x' onload='%s'/>#x"/></svg>`, `<iframe name="%s" src="about:blank" onload="%[1]s"></iframe>`, `<button popovertarget=p onclick="%s">x</button><div popover id=p onbeforetoggle="%[1]s">x</div>`, `{{constructor.constructor('%s')()}}`, `${%s}`, `<div hx-get="/x" hx-on:load="%s" hx-trigger="load">x</div>`,
	`<div data-open="#x" hx-on--load="%s">x</div>`, `<a ping="x" href="https://evil.example" onclick="%s">x</a>`, `<dialog open onclose="%s"><form method=dialog><button autofocus>x</button></form></dialog>`,
}

// No script of a stranger runs, wherever a mail of his is shown: in the queue and
// the ticket, in the quarantine, in the mail itself, cleaned and as it was sent.
func TestHostileMails(t *testing.T) {
	t.Parallel()
	if len(evil) < 60 {
		t.Fatalf("only %d", len(evil))
	}
	b := launch(t)
	h := apptest.Open(t, apptest.Options{})
	ctx := context.Background()
	box, err := h.Mails.Save(ctx, h.Actor(authz.RoleAdmin), mailbox.Box{Name: "x", Address: "help@example.com", Type: "consultation", Urgency: "normal", Settings: mailbox.Settings{Host: "127.0.0.1", TLS: "none", SMTPTLS: "none", User: "x", Auth: "password"}}, mailbox.Secrets{Password: "x"})
	if err != nil {
		t.Fatal(err)
	}
	const script = `window.top.pwned=1;document.title='pwned'`
	for i, e := range evil {
		x := e
		if strings.Contains(e, "%") {
			x = fmt.Sprintf(e, script)
		}
		name := strings.NewReplacer("/", "", "\x00", "", "\"", "'").Replace(x)
		list := ""
		if i%2 == 1 {
			list = "List-Id: <x.example>\r\n" // half of them wait in quarantine
		}
		raw := "From: " + mime.BEncoding.Encode("utf-8", x) + " <a" + fmt.Sprint(i) + "@evil.example>\r\nTo: " + mime.BEncoding.Encode("utf-8", x) + " <help@example.com>\r\nSubject: " + mime.BEncoding.Encode("utf-8", x) + "\r\nMessage-ID: <e" + fmt.Sprint(i) + "@evil.example>\r\n" + list +
			"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte("<html><body><p>正文</p>"+x+"</body></html>")) +
			"\r\n--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename=\"" + mime.BEncoding.Encode("utf-8", name+".html") + "\"\r\n\r\n<script>" + script + "</script>\r\n--b\r\nContent-Type: image/svg+xml\r\nContent-Disposition: attachment; filename=x.svg\r\n\r\n<svg xmlns='http://www.w3.org/2000/svg' onload=\"" + script + "\"/>\r\n--b--\r\n"
		if _, err := h.Mails.Take(ctx, box, 1, uint32(i+1), []byte(raw)); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Mails.Work(ctx); err != nil {
		t.Fatal(err)
	}
	paths := []string{"/admin/mails", "/admin/mails?before=40", "/tickets", "/customers", "/admin/audit"}
	rows, err := h.DB.Read().Query(ctx, `SELECT m.id, COALESCE(t.number, '') FROM mails m LEFT JOIN tickets t ON t.id = m.ticket_id ORDER BY m.id`)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for rows.Next() {
		var id int64
		var number string
		if err := rows.Scan(&id, &number); err != nil {
			t.Fatal(err)
		}
		n++
		paths = append(paths, fmt.Sprintf("/mails/%d?pictures=1", id), fmt.Sprintf("/mails/%d/body", id))
		if number != "" {
			paths = append(paths, "/tickets/"+number)
		}
	}
	rows.Close()
	if n != len(evil) {
		t.Fatalf("%d of %d mails are there", n, len(evil))
	}
	p := b.person(h, h.Serve(), authz.RoleAdmin)
	for _, path := range paths {
		p.open(path)
		if call(p, chromedp.Evaluate[bool](`window.pwned === 1 || document.title === 'pwned'`)) {
			t.Errorf("%s: a stranger's script has run", path)
		}
	}
	t.Logf("%d mails in %d places", n, len(paths))
}
